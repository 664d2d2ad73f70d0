"""Requests and replies across the vault's socket and the network: one closed set, both ways.

A message is one byte string: a 4-byte big-endian length, that many bytes of canonical JSON, then
the arrays as safetensors bytes. Nothing else can be expressed, so nothing else can cross.
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from cordon_common.canonical import Json, canonical_bytes, digest, digest_of, parse_json
from cordon_common.errors import ProtocolError
from cordon_common.ledger.offer import CosignatureText, NoteText, WitnessOffer
from cordon_common.signing import Envelope
from cordon_common.strict import StrictModel

Array = (
    npt.NDArray[np.float64]
    | npt.NDArray[np.int64]
    | npt.NDArray[np.uint64]
    | npt.NDArray[np.uint32]
)
Arrays = dict[str, Array]
Rpc = Literal["describe", "qc", "train", "evaluate", "receipts"]

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
RunId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Slot(StrictModel):
    """The place of a release in a study; a slot is answered once and then repeated."""

    study: Digest
    run: RunId
    phase: Literal["qc", "train", "evaluate"]
    round: int = Field(ge=0)
    attempt: int = Field(default=0, ge=0)

    @property
    def key(self) -> str:
        """The slot as one line of text: study|run|phase|round|attempt."""
        return f"{self.study}|{self.run}|{self.phase}|{self.round}|{self.attempt}"


class Witnessed(StrictModel):
    """A request that shows the site the coordinator's log; not part of the request's digest."""

    witness: WitnessOffer | None = None


class Cosigned(StrictModel):
    """A reply with the site's cosignature of that log; stored answers are kept without it."""

    cosignature: CosignatureText | None = None


class DescribeRequest(Witnessed):
    """Enrol: who are you, do you accept this study, and which initial weights does it imply?"""

    kind: Literal["describe.v1"] = "describe.v1"
    study: Digest
    run: RunId


class ReleaseRequest(Witnessed):
    """Ask for one release: QC summary, training round or evaluation.

    Arrays: `weights` float64 [dimension] for train and evaluate, none for qc.
    """

    kind: Literal["release.v1"] = "release.v1"
    slot: Slot


class SumRequest(Witnessed):
    """Ask for one masked share of a training round's sum.

    roster: the signed key of every site that takes part in this attempt, by name (see
    `securesum.keys`). All sites get the same bytes; their masks cancel only then.
    Arrays: `weights` float64 [dimension].
    """

    kind: Literal["sum-release.v1"] = "sum-release.v1"
    slot: Slot
    roster: tuple[Envelope, ...]


class ReceiptsRequest(Witnessed):
    """Ask for the site's signed list of what it released in this study."""

    kind: Literal["receipts.v1"] = "receipts.v1"
    study: Digest
    run: RunId


Request = DescribeRequest | ReleaseRequest | SumRequest | ReceiptsRequest


class DescribeReply(Cosigned):
    """The site's signed yes. Arrays: `weights` float64 [dimension], data-independent.

    sum_key: where the study asks for masked sums, the site's signed key for them.
    """

    kind: Literal["described.v1"] = "described.v1"
    site: str
    study: Digest
    run: RunId
    weights_digest: Digest
    software: dict[str, str]
    sum_key: Envelope | None = None


class ReleaseReply(Cosigned):
    """A noised release and its receipt.

    Arrays: `release`, the released integers (int64), or `masked`, a share of a masked sum (uint64 or
    uint32, the study's ring). `release_digest` is the digest of the array bytes;
    `receipt` is the site's signed statement of event, digest and ledger position.
    `verdict` (qc only) is the coarse, undisguised part that the study declares unprotected.
    """

    kind: Literal["released.v1"] = "released.v1"
    site: str
    slot: Slot
    release_digest: Digest
    receipt: Envelope
    verdict: dict[str, Json] | None = None


class ReceiptsReply(Cosigned):
    """Signed receipts of all releases of a study at this site, and the ledger's checkpoint."""

    kind: Literal["receipted.v1"] = "receipted.v1"
    site: str
    study: Digest
    receipts: tuple[Envelope, ...]
    checkpoint: NoteText


class Refusal(StrictModel):
    """A coded no; never free text."""

    kind: Literal["refused.v1"] = "refused.v1"
    site: str
    code: str = Field(pattern=r"^[A-Z]{2}[0-9]{3}$")


Reply = DescribeReply | ReleaseReply | ReceiptsReply | Refusal
Message = Annotated[
    DescribeRequest
    | ReleaseRequest
    | SumRequest
    | ReceiptsRequest
    | DescribeReply
    | ReleaseReply
    | ReceiptsReply
    | Refusal,
    Field(discriminator="kind"),
]
_MESSAGE: TypeAdapter[Request | Reply] = TypeAdapter(Message)
_INTEGERS = frozenset(map(np.dtype, (np.int64, np.uint64, np.uint32)))
_LENGTH = struct.Struct(">I")


def encode(message: Request | Reply, arrays: Arrays | None = None) -> bytes:
    """Write a message and its arrays as one byte string; equal input gives equal bytes."""
    head = canonical_bytes(message.model_dump(mode="json"))
    return _LENGTH.pack(len(head)) + head + array_bytes(arrays or {})


def decode(data: bytes) -> tuple[Request | Reply, Arrays]:
    """Read a message and its arrays.

    Raises:
        ProtocolError: PR005 when it is not one of the closed set, PR008 when the arrays are not
            finite float64, int64, uint64 or uint32.
    """
    end = _end_of_head(data)
    return decode_head(data), _read_arrays(data[end:])


def decode_head(data: bytes) -> Request | Reply:
    """Read a message and leave its arrays alone.

    Raises:
        ProtocolError: PR005 when it is not one of the closed set.
    """
    head = data[_LENGTH.size : _end_of_head(data)]
    try:
        return _MESSAGE.validate_python(parse_json(head))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError("PR005", why=f"{where}: {first['msg']}") from None


def split(data: bytes) -> tuple[bytes, bytes]:
    """Divide an encoded message into its head, length included, and the bytes of its arrays."""
    end = _end_of_head(data)
    return data[:end], data[end:]


def with_witness(request: Request, offer: WitnessOffer) -> bytes:
    """Return the head of a request that shows a site the log; arrays follow unchanged."""
    return encode(request.model_copy(update={"witness": offer}))


def with_cosignature(data: bytes, cosignature: str) -> bytes:
    """Return a reply's bytes with the site's cosignature in its head; arrays stay as they are."""
    head, arrays = split(data)
    return encode(decode_head(head).model_copy(update={"cosignature": cosignature})) + arrays


def _end_of_head(data: bytes) -> int:
    if len(data) < _LENGTH.size:
        raise ProtocolError("PR005", why="it is shorter than its header")
    (length,) = _LENGTH.unpack_from(data)
    if len(data) < _LENGTH.size + length:
        raise ProtocolError("PR005", why="it is cut off")
    return int(_LENGTH.size + length)


def array_bytes(arrays: Arrays) -> bytes:
    """Write arrays as safetensors bytes, names sorted (safetensors specification)."""
    if not arrays:
        return b""
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    return save_arrays(cast("dict[str, np.ndarray]", ordered))


def arrays_digest(arrays: Arrays) -> str:
    """Return the digest of the arrays' safetensors bytes."""
    return digest(array_bytes(arrays))


def request_digest(request: Request, arrays_digest_: str) -> str:
    """Return the digest that a receipt states for a request.

    It is made of the message and the digest of its arrays, so that whoever knows the slot and the
    weights' digest can compute it without the weights. What a site is shown of the coordinator's
    log is not part of it: the log grows while the question stays the same.
    """
    message = request.model_dump(mode="json", exclude={"witness"})
    return digest_of({"message": message, "arrays": arrays_digest_})


def _read_arrays(data: bytes) -> Arrays:
    if not data:
        return {}
    try:
        arrays = load_arrays(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ProtocolError("PR008", why=type(error).__name__) from None
    for array in arrays.values():
        if array.dtype == np.float64:
            if not np.isfinite(array).all():
                raise ProtocolError("PR008", why="an array holds NaN or infinity")
        elif array.dtype not in _INTEGERS:
            raise ProtocolError("PR008", why=f"an array has dtype {array.dtype}")
    return cast("Arrays", arrays)
