"""What the entries of a site's ledger add up to: approvals, slots, charges, refusals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cordon_common.errors import IntegrityError, PolicyRefused
from cordon_common.ledger.entries import (
    CheckpointRefused,
    CheckpointWitnessed,
    DataRegistered,
    PolicySet,
    ReleaseReserved,
    ReleaseSettled,
    RequestRefused,
    StudyApproved,
    StudyClosed,
)
from cordon_common.ledger.probed import ProbeDone
from cordon_common.ledger.sights import Sights
from cordon_common.privacy.counting import EventCounts

if TYPE_CHECKING:
    from cordon_common.canonical import Json
    from cordon_common.ledger.body import Body
    from cordon_common.ledger.entries import Entry
    from cordon_common.ledger.log import Position
    from cordon_common.privacy.events import Event
    from cordon_common.signing import Envelope
    from cordon_common.wire import Slot


@dataclass(frozen=True)
class Charge:
    """One release that the budget paid for, settled or not; `seq` is its reservation."""

    slot: Slot
    event: Event
    seq: int

    @property
    def study(self) -> str:
        """The study that it belongs to."""
        return self.slot.study

    @property
    def slot_key(self) -> str:
        """The slot as one line of text."""
        return self.slot.key


@dataclass(frozen=True)
class Approval:
    """A study that the hospital approved: the signed study, and the plan it was shown."""

    study: str
    envelope: Envelope
    plan: Json
    seq: int
    time: str


@dataclass(frozen=True)
class Ticket:
    """The right to compute one release: its budget is already spent."""

    seq: int
    slot: Slot
    request_digest: str
    event: Event


@dataclass(frozen=True)
class Settlement:
    """Where and with which digest a release was settled."""

    position: Position
    release_digest: str


@dataclass(frozen=True)
class SlotRecord:
    """What happened in a slot so far."""

    ticket: Ticket
    settlement: Settlement | None = None


@dataclass
class SiteState:
    """The ledger's entries, folded: rebuilt from them at every start, never stored."""

    approvals: dict[str, Approval] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    slots: dict[str, SlotRecord] = field(default_factory=dict)
    charges: list[Charge] = field(default_factory=list)
    spent: dict[str, EventCounts] = field(default_factory=dict)
    refusals: dict[tuple[str | None, str], int] = field(default_factory=dict)
    current: dict[str, Body] = field(default_factory=dict)
    sights: Sights = field(default_factory=Sights)
    latest: str = ""
    _order: dict[tuple[str, str], list[tuple[Slot, str]]] = field(default_factory=dict)
    probes: dict[str, ProbeDone] = field(default_factory=dict)
    _refused_since: dict[tuple[str | None, str], int] = field(default_factory=dict)

    def observe(self, entry: Entry, position: Position) -> None:
        """Take in the next entry.

        Raises:
            IntegrityError: IN109 when it cannot follow from the entries before it.
        """
        body = entry.body
        self.latest = max(self.latest, entry.time)
        if isinstance(body, ReleaseReserved):
            self._reserved(body, entry)
        elif isinstance(body, ReleaseSettled):
            self._settled(body, position)
        elif isinstance(body, StudyApproved):
            self.approvals[body.study] = Approval(
                body.study, body.envelope, body.plan, entry.seq, entry.time
            )
        elif isinstance(body, StudyClosed):
            self.closed.add(body.study)
        elif isinstance(body, RequestRefused):
            self.refusals[body.study, body.code] = body.count
        elif isinstance(body, CheckpointWitnessed | CheckpointRefused):
            self.sights.observe(body, entry)
        else:
            self._noted(body)

    def _noted(self, body: Body) -> None:
        """Keep the newest of what holds until it is noted again."""
        if isinstance(body, ProbeDone):
            self.probes[body.study] = body
        elif isinstance(body, PolicySet | DataRegistered):
            self.current[body.KIND] = body

    def require_approved(self, study: str) -> None:
        """Do nothing when the hospital approved the study.

        Raises:
            PolicyRefused: PO111.
        """
        if study not in self.approvals:
            raise PolicyRefused("PO111")

    def settled(self, study: str) -> list[tuple[Ticket, Settlement]]:
        """List the settled releases of a study, oldest first."""
        records = [r for r in self.slots.values() if r.ticket.slot.study == study]
        pairs = [(r.ticket, r.settlement) for r in records if r.settlement]
        return sorted(pairs, key=lambda pair: pair[1].position.seq)

    def last_settled(self, study: str, run: str, apart_from: Slot | None) -> list[tuple[Slot, str]]:
        """Return slot and release digest of the run's newest settled releases, any of which will do.

        apart_from: the slot asked for. What was settled in other attempts at its round may not have
        arrived, so these count beside the newest release of before; when the slot is settled itself,
        its answer will only be repeated, and there is nothing to return.
        """
        asked = self.slots.get(apart_from.key) if apart_from else None
        if asked and asked.settlement:
            return []
        attempts = []
        for slot, release in reversed(self._order.get((study, run), [])):
            attempts.append((slot, release))
            if apart_from is None or (slot.phase, slot.round) != (
                apart_from.phase,
                apart_from.round,
            ):
                return attempts
        return []

    def count_refusal(self, study: str | None, code: str) -> int | None:
        """Count one more refusal; return the count when it is due for the log (1, 2, 4, 8, …)."""
        logged = self.refusals.get((study, code), 0)
        count = max(self._refused_since.get((study, code), 0), logged) + 1
        self._refused_since[study, code] = count
        return count if count >= 2 * logged else None

    def _reserved(self, body: ReleaseReserved, entry: Entry) -> None:
        slot = body.slot
        if slot.key in self.slots or slot.study not in self.approvals:
            raise IntegrityError("IN109", f"entry {entry.seq} reserves what cannot be reserved")
        self.slots[slot.key] = SlotRecord(Ticket(entry.seq, slot, body.request, body.event))
        self.spent.setdefault(slot.study, EventCounts()).add(body.event)
        self.charges.append(Charge(slot, body.event, entry.seq))

    def _settled(self, body: ReleaseSettled, position: Position) -> None:
        record = self.slots.get(body.slot.key)
        if record is None or record.settlement or record.ticket.seq != body.reserved:
            raise IntegrityError("IN109", f"entry {position.seq} settles what was not reserved")
        self.slots[body.slot.key] = replace(record, settlement=Settlement(position, body.release))
        self._order.setdefault((body.slot.study, body.slot.run), []).append(
            (body.slot, body.release)
        )
