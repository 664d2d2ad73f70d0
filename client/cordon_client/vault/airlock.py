"""The only way out of the vault: reserve → compute → settle → sign → return.

Guarantees:
- every data-dependent byte that leaves is charged to the ledger before it is computed;
- the coordinator's log is checked and cosigned before every answer, and refused on a fork;
- the same request again gets the stored answer, never a second draw;
- what fails leaves as a code of the closed table and nothing else.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, cast

from cordon_client.models.registry import initial_weights
from cordon_client.vault.state import Released
from cordon_common.canonical import digest
from cordon_common.errors import BudgetExhausted, CordonError, PolicyRefused, ProtocolError
from cordon_common.ledger.receipt import make_receipt
from cordon_common.ledger.site import StoredReply
from cordon_common.privacy.events import SecureSumRelease
from cordon_common.privacy.schedule import planned_events
from cordon_common.wire import (
    DescribeReply,
    DescribeRequest,
    ReceiptsReply,
    ReceiptsRequest,
    ReleaseReply,
    ReleaseRequest,
    SumRequest,
    arrays_digest,
    decode,
    encode,
    request_digest,
    with_cosignature,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from cordon_client.vault.masking import Share
    from cordon_client.vault.state import VaultState
    from cordon_common.ledger.charges import Charge
    from cordon_common.ledger.log import Position
    from cordon_common.privacy.events import Event
    from cordon_common.protocol.study import Study
    from cordon_common.wire import Arrays, Rpc, Slot

_LOG = logging.getLogger("cordon.vault")
_LOCKS = 64
"""Slots share this many locks, so that requests for ever new slots cannot fill the memory."""


class Airlock:
    """Answers the five calls of the vault's service; see the module's guarantees."""

    def __init__(self, state: VaultState) -> None:
        self._state = state
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def answer(self, rpc: Rpc, data: bytes) -> bytes:
        """Answer one request.

        Raises:
            CordonError: only ever with a code of the table and its fixed text.
        """
        study_digest = ""
        try:
            message, arrays = decode(data)
            if isinstance(message, DescribeRequest) and rpc == "describe":
                study_digest = message.study
                return self._describe(message)
            if isinstance(message, ReceiptsRequest) and rpc == "receipts":
                study_digest = message.study
                return self._receipts(message)
            if isinstance(message, ReleaseRequest | SumRequest) and rpc == message.slot.phase:
                study_digest = message.slot.study
                asked = request_digest(message, arrays_digest(arrays))
                study = self._state.approved_study(study_digest)
                cosignature = self._state.ledger.witness.see(
                    study_digest, message.slot.run, message.witness, message.slot
                )
                reply = self._release(study, message, arrays, asked)
                return with_cosignature(reply, cosignature)
            raise ProtocolError("PR005", why=f"this is not a request for {rpc}")
        except CordonError as error:
            _LOG.warning("refused rpc=%s code=%s", rpc, error.code)
            if isinstance(error, PolicyRefused | ProtocolError):
                self._state.ledger.refuse(study_digest, error.code, digest(data))
            raise type(error)(error.code) from None

    def _describe(self, message: DescribeRequest) -> bytes:
        """Say that the study is approved here, and which initial weights it implies."""
        study = self._state.approved_study(message.study)
        cosignature = self._state.ledger.witness.see(
            message.study, message.run, message.witness, None
        )
        weights: Arrays = {"weights": initial_weights(study)}
        return encode(
            DescribeReply(
                site=self._state.site,
                study=message.study,
                run=message.run,
                weights_digest=arrays_digest(weights),
                software=self._state.software,
                cosignature=cosignature,
                sum_key=self._state.masking.announce(study, message.run),
            ),
            weights,
        )

    def _receipts(self, message: ReceiptsRequest) -> bytes:
        """Return the signed receipts of what this study was given, and the ledger's checkpoint."""
        self._state.approved_study(message.study)
        cosignature = self._state.ledger.witness.see(
            message.study, message.run, message.witness, None
        )
        return encode(
            ReceiptsReply(
                site=self._state.site,
                study=message.study,
                receipts=tuple(self._state.ledger.receipts(message.study)),
                checkpoint=self._state.ledger.log.checkpoint(),
                cosignature=cosignature,
            )
        )

    def _release(
        self, study: Study, message: ReleaseRequest | SumRequest, arrays: Arrays, asked: str
    ) -> bytes:
        slot = message.slot
        with self._slot_lock(slot.key):
            stored = self._state.ledger.stored_reply(slot, asked)
            if stored is not None:
                return stored
            share = self._state.masking.share_of(study, message)
            event = _planned_event(study, slot, share)
            self._state.check_request(study, slot, arrays)

            def admit(charges: Sequence[Charge]) -> None:
                _admit(study, slot, event, charges)
                self._state.check_budget(slot, event, charges)

            outcome = self._state.ledger.reserve(slot, asked, event, admit)
            if isinstance(outcome, StoredReply):
                return outcome.reply
            released = self._state.compute(study, slot, event, arrays)
            if share is not None:
                released = self._masked(study, share, asked, released)
            release_digest = arrays_digest(released.arrays)

            def make_reply(position: Position) -> bytes:
                receipt = make_receipt(
                    self._state.key,
                    site=self._state.site,
                    ticket=outcome,
                    release_digest=release_digest,
                    position=position,
                )
                reply = ReleaseReply(
                    site=self._state.site,
                    slot=slot,
                    release_digest=release_digest,
                    receipt=receipt,
                    verdict=released.verdict,
                )
                return encode(reply, released.arrays)

            reply = self._state.ledger.settle(outcome, release_digest, make_reply)
        self._state.after_release(study, slot, arrays)
        return reply

    def _masked(self, study: Study, share: Share, asked: str, released: Released) -> Released:
        """Hide a computed share under the masks of its attempt; only this may leave."""
        noised = cast("npt.NDArray[np.int64]", released.arrays["release"])
        return Released(self._state.masking.mask(share, noised, asked, study.training.ring_bits))

    def _slot_lock(self, key: str) -> threading.Lock:
        return self._locks[hash(key) % _LOCKS]


def _planned_event(study: Study, slot: Slot, share: Share | None) -> Event:
    """Look up what the approved study allows in a slot; a share of noise depends on the others.

    Raises:
        PolicyRefused: PO106 when the slot is not in the study's plan.
    """
    plan = planned_events(study)
    rounds = {"qc": 1, "train": plan.rounds, "evaluate": 1}[slot.phase]
    if slot.round >= rounds or slot.attempt >= study.timing.max_attempts:
        raise PolicyRefused("PO106")
    if slot.phase == "train":
        return plan.training if share is None else plan.training_among(share.sites)
    return {"qc": plan.qc, "evaluate": plan.evaluation}[slot.phase]


def _admit(study: Study, slot: Slot, event: Event, charges: Sequence[Charge]) -> None:
    """Refuse a charge beyond the study's approved plan (runs inside the ledger's transaction).

    Raises:
        BudgetExhausted: BU002 when every release of this kind is used up.
        PolicyRefused: PO122 for an attempt at a masked sum before one that was made already.
    """
    if isinstance(event, SecureSumRelease):
        _require_newest(slot, charges)
    plan = planned_events(study)
    planned = {"qc": 1, "training": plan.rounds, "evaluation": 1}[event.purpose]
    used = sum(
        charge.study == slot.study and charge.event.purpose == event.purpose for charge in charges
    )
    if used >= planned:
        raise BudgetExhausted("BU002", why=f"{used} of {planned} {event.purpose} releases are used")


def _require_newest(slot: Slot, charges: Sequence[Charge]) -> None:
    made = [
        (charge.slot.round, charge.slot.attempt)
        for charge in charges
        if (charge.study, charge.slot.run, charge.slot.phase) == (slot.study, slot.run, slot.phase)
    ]
    if made and (slot.round, slot.attempt) <= max(made):
        raise PolicyRefused("PO122")
