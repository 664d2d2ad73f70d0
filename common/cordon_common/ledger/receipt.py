"""Receipts: a site's signed statement that a release is in its ledger, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from cordon_common.errors import IntegrityError
from cordon_common.privacy.events import Event
from cordon_common.protocol.dictionary import Slug
from cordon_common.signing import seal
from cordon_common.strict import StrictModel
from cordon_common.wire import Digest, Slot

if TYPE_CHECKING:
    from cordon_common.ledger.charges import Ticket
    from cordon_common.ledger.log import Position
    from cordon_common.signing import Envelope, PublicKey, SigningKey

RECEIPT_TYPE = "cordon.receipt.v1"


class Receipt(StrictModel):
    """What a receipt says.

    `seq` is the position of the settling entry; `tree_size` and `root` are the ledger's head right
    after it. Whoever keeps a receipt can show later that the ledger was rolled back or rewritten.
    """

    site: Slug
    slot: Slot
    event: Event
    request_digest: Digest
    release_digest: Digest
    seq: int = Field(ge=0)
    tree_size: int = Field(ge=1)
    root: Digest


def make_receipt(
    key: SigningKey, *, site: str, ticket: Ticket, release_digest: str, position: Position
) -> Envelope:
    """Sign what was released and where the ledger says so; equal input gives equal bytes."""
    receipt = Receipt(
        site=site,
        slot=ticket.slot,
        event=ticket.event,
        request_digest=ticket.request_digest,
        release_digest=release_digest,
        seq=position.seq,
        tree_size=position.tree_size,
        root=root_text(position.root),
    )
    return seal(key, RECEIPT_TYPE, receipt.model_dump(mode="json"))


def open_receipt(envelope: Envelope, key: PublicKey) -> Receipt:
    """Check a receipt's type, signer and form.

    Raises:
        IntegrityError: IN001 when the signature does not fit or is by another key, IN108 when the
            payload is not a receipt.
    """
    if envelope.verify(RECEIPT_TYPE) != key:
        raise IntegrityError("IN001", "the receipt is signed by another key")
    try:
        return Receipt.model_validate(envelope.payload)
    except ValidationError:
        raise IntegrityError("IN108") from None


def root_text(root: bytes) -> str:
    """Write a 32-byte tree root in the text form of digests."""
    return "sha256:" + root.hex()
