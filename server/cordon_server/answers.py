"""Checking what a site answered: nothing is used before form, origin and digest fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from cordon_common.errors import IntegrityError, ProtocolError, error_for
from cordon_common.ledger.receipt import open_receipt
from cordon_common.qc.verdict import CohortVerdict
from cordon_common.securesum.keys import open_key
from cordon_common.securesum.ring import ring_dtype
from cordon_common.wire import (
    DescribeReply,
    ReceiptsReply,
    Refusal,
    ReleaseReply,
    arrays_digest,
    decode,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from cordon_common.canonical import Json
    from cordon_common.privacy.events import Event
    from cordon_common.securesum.ring import Ring, RingBits
    from cordon_common.signing import Envelope, PublicKey
    from cordon_common.wire import Arrays, Reply, Request, Slot

R = TypeVar("R", DescribeReply, ReleaseReply, ReceiptsReply)


@dataclass(frozen=True)
class Description:
    """A site's yes. weights: float64 [dimension], the initial weights that it derived.

    sum_key: its signed key for masked sums, where the study asks for them.
    """

    weights_digest: str
    weights: npt.NDArray[np.float64]
    software: dict[str, str]
    sum_key: Envelope | None = None


@dataclass(frozen=True)
class Release:
    """A checked release: one array, `release` or `masked`, as it came."""

    arrays: Arrays
    digest: str
    receipt: Envelope
    verdict: dict[str, Json] | None

    @property
    def values(self) -> npt.NDArray[np.int64]:
        """The noised integers of a release without masks, int64 [dimension of the release]."""
        return cast("npt.NDArray[np.int64]", self.arrays["release"])

    @property
    def masked(self) -> Ring:
        """The ring elements of a masked share, [dimension of the release]."""
        return cast("Ring", self.arrays["masked"])


@dataclass(frozen=True)
class Expected:
    """What a release must fit: slot and bytes of the request, and the planned event.

    limit: largest magnitude of a released integer. ring_bits: of a masked share, else None.
    """

    slot: Slot
    event: Event
    request_digest: str
    limit: int
    ring_bits: RingBits | None = None


def check_description(
    site: str, data: bytes, *, study: str, run: str, dimension: int
) -> Description:
    """Check an enrolment answer; `sum_key` is not checked here.

    Raises:
        CordonError: a refusal's code; PR005, PR008, IN020, IN022.
    """
    reply, arrays = _open(DescribeReply, site, data)
    if (reply.study, reply.run) != (study, run):
        raise IntegrityError("IN022")
    if arrays_digest(arrays) != reply.weights_digest:
        raise ProtocolError("PR008", why="the weights are not those of the digest")
    _only(arrays, "weights", dimension, np.float64)
    weights = cast("npt.NDArray[np.float64]", arrays["weights"])
    return Description(reply.weights_digest, weights, reply.software, reply.sum_key)


def check_sum_key(
    site: str, announcement: Envelope | None, key: PublicKey, *, study: str, run: str
) -> Envelope:
    """Check a site's key for masked sums; every other site will check it again.

    Raises:
        IntegrityError: IN030 when there is none, or the roster's site did not sign it for this run.
    """
    if announcement is None:
        raise IntegrityError("IN030")
    announced = open_key(announcement, key)
    if (announced.site, announced.study, announced.run) != (site, study, run):
        raise IntegrityError("IN030")
    return announcement


def check_release(site: str, data: bytes, key: PublicKey, expected: Expected) -> Release:
    """Check a release and its receipt against the slot, the plan and the site's identity key.

    Raises:
        CordonError: a refusal's code; PR005, PR008, IN001, IN020, IN021, IN022.
    """
    reply, arrays = _open(ReleaseReply, site, data)
    if reply.slot != expected.slot:
        raise IntegrityError("IN022")
    if expected.ring_bits is None:
        _only(arrays, "release", expected.event.dimension, np.int64)
    else:
        _only(arrays, "masked", expected.event.dimension, ring_dtype(expected.ring_bits).type)
    if arrays_digest(arrays) != reply.release_digest:
        raise IntegrityError("IN021", why="the arrays are not those of the digest")
    check_receipt(site, reply.receipt, key, expected, reply.release_digest)
    if expected.slot.phase == "qc":
        CohortVerdict.from_json(reply.verdict or {})
    elif reply.verdict is not None:
        raise ProtocolError("PR005", why="only a QC release carries a verdict")
    release = Release(arrays, reply.release_digest, reply.receipt, reply.verdict)
    if expected.ring_bits is None and _largest(release.values) > expected.limit:
        raise ProtocolError("PR008", why="an integer is larger than any sum over patients")
    return release


def check_receipt(
    site: str, receipt: Envelope, key: PublicKey, expected: Expected, release_digest: str
) -> None:
    """Check that a receipt is the roster site's word about exactly this release.

    Raises:
        IntegrityError: IN001 for the signature, IN021 for what it says.
    """
    facts = open_receipt(receipt, key)
    stated = (facts.site, facts.slot, facts.event, facts.request_digest, facts.release_digest)
    slot, event, request = expected.slot, expected.event, expected.request_digest
    if stated != (site, slot, event, request, release_digest):
        raise IntegrityError("IN021")


def check_receipts(
    site: str, data: bytes, key: PublicKey, *, study: str
) -> tuple[tuple[Envelope, ...], str]:
    """Check the list of all receipts of a study; return it with the ledger's checkpoint.

    Raises:
        CordonError: a refusal's code; PR005, IN001, IN020, IN021, IN022.
    """
    reply, arrays = _open(ReceiptsReply, site, data)
    if reply.study != study or arrays:
        raise IntegrityError("IN022")
    for receipt in reply.receipts:
        facts = open_receipt(receipt, key)
        if facts.site != site or facts.slot.study != study:
            raise IntegrityError("IN021")
    return reply.receipts, reply.checkpoint


def _largest(values: npt.NDArray[np.int64]) -> int:
    return max(int(values.max()), -int(values.min()))


def _open(kind: type[R], site: str, data: bytes) -> tuple[R, Arrays]:
    message: Request | Reply
    message, arrays = decode(data)
    if isinstance(message, Refusal):
        raise error_for(message.code)
    if not isinstance(message, kind):
        raise ProtocolError("PR005", why="the answer is of another kind than the question")
    if message.site != site:
        raise IntegrityError("IN020")
    return message, arrays


def _only(arrays: Arrays, name: str, length: int, dtype: type[np.generic]) -> None:
    shapes = {key: (array.shape, array.dtype) for key, array in arrays.items()}
    if shapes != {name: ((length,), np.dtype(dtype))}:
        kind = np.dtype(dtype).name
        raise ProtocolError("PR008", why=f"one array {name} of {length} {kind} is expected")
