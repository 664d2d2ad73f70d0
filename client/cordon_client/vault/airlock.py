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
from typing import TYPE_CHECKING

from cordon_client.models.registry import initial_weights
from cordon_common.canonical import digest
from cordon_common.errors import BudgetExhausted, CordonError, PolicyRefused, ProtocolError
from cordon_common.ledger.receipt import make_receipt
from cordon_common.ledger.site import StoredReply
from cordon_common.privacy.schedule import planned_events
from cordon_common.wire import (
    DescribeReply,
    DescribeRequest,
    ReceiptsReply,
    ReceiptsRequest,
    ReleaseReply,
    ReleaseRequest,
    arrays_digest,
    decode,
    encode,
    request_digest,
    with_cosignature,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            if isinstance(message, ReleaseRequest) and rpc == message.slot.phase:
                study_digest = message.slot.study
                asked = request_digest(message, arrays_digest(arrays))
                study = self._state.approved_study(study_digest)
                cosignature = self._state.ledger.witness.see(
                    study_digest, message.slot.run, message.witness, message.slot
                )
                reply = self._release(study, message.slot, arrays, asked)
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
                checkpoint=self._state.ledger.checkpoint(),
                cosignature=cosignature,
            )
        )

    def _release(self, study: Study, slot: Slot, arrays: Arrays, asked: str) -> bytes:
        event = _planned_event(study, slot)
        with self._slot_lock(slot.key):
            stored = self._state.ledger.stored_reply(slot, asked)
            if stored is not None:
                return stored
            self._state.check_request(study, slot, arrays)

            def admit(charges: Sequence[Charge]) -> None:
                _admit(study, slot, event, charges)
                self._state.check_budget(slot, event, charges)

            outcome = self._state.ledger.reserve(slot, asked, event, admit)
            if isinstance(outcome, StoredReply):
                return outcome.reply
            released = self._state.compute(study, slot, event, arrays)
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

    def _slot_lock(self, key: str) -> threading.Lock:
        return self._locks[hash(key) % _LOCKS]


def _planned_event(study: Study, slot: Slot) -> Event:
    """Look up what the approved study allows in a slot.

    Raises:
        PolicyRefused: PO106 when the slot is not in the study's plan.
    """
    plan = planned_events(study)
    rounds = {"qc": 1, "train": plan.rounds, "evaluate": 1}[slot.phase]
    if slot.round >= rounds or slot.attempt >= study.timing.max_attempts:
        raise PolicyRefused("PO106")
    return {"qc": plan.qc, "train": plan.training, "evaluate": plan.evaluation}[slot.phase]


def _admit(study: Study, slot: Slot, event: Event, charges: Sequence[Charge]) -> None:
    """Refuse a charge beyond the study's approved plan (runs inside the ledger's transaction).

    Raises:
        BudgetExhausted: BU002 when every release of this kind is used up.
    """
    plan = planned_events(study)
    planned = {"qc": 1, "training": plan.rounds, "evaluation": 1}[event.purpose]
    used = sum(
        charge.study == slot.study and charge.event.purpose == event.purpose for charge in charges
    )
    if used >= planned:
        raise BudgetExhausted("BU002", why=f"{used} of {planned} {event.purpose} releases are used")
