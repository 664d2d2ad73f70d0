"""The hospital's privacy ledger: lifelong, one per dataset, the only authority on its budget.

Every data-dependent release is reserved before it is computed and settled before it is handed out.
A reservation stays spent whatever happens next; a settled slot gives its stored answer for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.canonical import digest
from cordon_common.errors import IntegrityError, PolicyRefused
from cordon_common.ledger.charges import Approval, Charge, Settlement, SiteState, SlotRecord, Ticket
from cordon_common.ledger.entries import (
    SITE_KINDS,
    DataRegistered,
    LedgerCreated,
    PolicySet,
    QcVerdict,
    ReleaseReserved,
    ReleaseSettled,
    RequestRefused,
    SiteOpened,
    StudyApproved,
    StudyClosed,
)
from cordon_common.ledger.log import Log, LogSpec
from cordon_common.ledger.receipt import make_receipt
from cordon_common.ledger.upgrade import upgrade_log
from cordon_common.ledger.witness import Witness
from cordon_common.privacy.counting import EventCounts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Literal

    from cordon_common.canonical import Json
    from cordon_common.clock import Clock
    from cordon_common.ledger.log import Position
    from cordon_common.ledger.probed import ProbeDone
    from cordon_common.privacy.events import Event
    from cordon_common.signing import Envelope, PublicKey, SigningKey
    from cordon_common.wire import Slot

_REPLY_TABLE = (
    "CREATE TABLE reply (reserved INTEGER PRIMARY KEY, digest TEXT NOT NULL, reply BLOB NOT NULL)"
    " STRICT",
    "CREATE TRIGGER reply_no_update BEFORE UPDATE ON reply"
    " BEGIN SELECT raise(ABORT, 'replies are kept as they left'); END",
    "CREATE TRIGGER reply_no_delete BEFORE DELETE ON reply"
    " BEGIN SELECT raise(ABORT, 'replies are kept as they left'); END",
    "CREATE TRIGGER reply_once BEFORE INSERT ON reply"
    " WHEN EXISTS (SELECT 1 FROM reply WHERE reserved = NEW.reserved)"
    " BEGIN SELECT raise(ABORT, 'replies are kept as they left'); END",
)


@dataclass(frozen=True)
class StoredReply:
    """The answer that a slot already got; it is given again, unchanged."""

    reply: bytes
    release_digest: str


def site_origin(site: str, dataset: str) -> str:
    """Return the name of a site's ledger in checkpoints."""
    return f"cordon/site/{site}/{dataset}"


class SiteLedger:
    """The open ledger of one site and dataset, over its `log`; safe for threads and processes."""

    def __init__(self, log: Log, state: SiteState, key: SigningKey, site: str) -> None:
        self.log = log
        self._state = state
        self._key = key
        self.site = site
        self.witness = Witness(log, state, key, site)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        key: SigningKey,
        site: str,
        dataset: str,
        clock: Clock,
        create: bool = False,
    ) -> SiteLedger:
        """Open the ledger and compute it again from its first entry.

        A missing ledger is refused unless `create` is on (first set-up): an empty one would forget.

        Raises:
            IntegrityError: IN101 to IN109, see `log.Log.open`; nothing is served from such a ledger.
            SystemFault: SY001 when the disk is full, SY101 when the file cannot be used.
        """
        state = SiteState()
        log = Log.open(path, _spec(key, site, dataset), key, clock, state.observe, create=create)
        return cls(log, state, key, site)

    @property
    def public_key(self) -> PublicKey:
        """The key that signs heads and receipts."""
        return self._key.public

    def close(self) -> None:
        """Close the file."""
        self.log.close()

    def record(self, body: SiteOpened | PolicySet | DataRegistered | QcVerdict | ProbeDone) -> None:
        """Note a fact; a policy or dataset that is already the current one is not noted again."""
        with self.log.transaction() as transaction:
            if self._state.current.get(body.KIND) != body:
                transaction.append(body)

    def approve(
        self,
        envelope: Envelope,
        plan: Json,
        *,
        admit: Callable[[], None] = lambda: None,
        approved_by: str = "",
    ) -> Approval:
        """Record that the hospital approved a signed study; approving twice changes nothing.

        plan: what the hospital was shown. approved_by: an account id. The caller has checked trust.
        `admit` raises to refuse, while the ledger is held: two cannot both take the last budget.
        """
        study = envelope.digest
        with self.log.transaction() as transaction:
            if study not in self._state.approvals:
                admit()
                transaction.append(
                    StudyApproved(
                        study=study, envelope=envelope, plan=plan, approved_by=approved_by
                    )
                )
        return self._state.approvals[study]

    def approved(self, study: str) -> Envelope | None:
        """Return the signed study with this digest if the hospital approved it."""
        with self.log.reading():
            approval = self._state.approvals.get(study)
        return approval.envelope if approval else None

    def approvals(self) -> list[Approval]:
        """List all approved studies, oldest first."""
        with self.log.reading():
            return list(self._state.approvals.values())

    def newest_probe(self, study: str) -> ProbeDone | None:
        """Return what the newest test of the running mechanism found for a study."""
        with self.log.reading():
            return self._state.probes.get(study)

    def is_closed(self, study: str) -> bool:
        """Tell whether a study was closed here."""
        with self.log.reading():
            return study in self._state.closed

    def close_study(
        self, study: str, reason: Literal["finished", "withdrawn", "permit-ended"]
    ) -> None:
        """Make no new release in a study from here on; stored answers are still given.

        Raises:
            PolicyRefused: PO111 when the study was never approved here.
        """
        with self.log.transaction() as transaction:
            self._state.require_approved(study)
            if study not in self._state.closed:
                transaction.append(StudyClosed(study=study, reason=reason))

    def reserve(
        self,
        slot: Slot,
        request_digest: str,
        event: Event,
        admit: Callable[[Sequence[Charge]], None],
    ) -> Ticket | StoredReply:
        """Spend the budget of one release, before it is computed.

        A settled slot gives its stored reply. A slot reserved but never settled gives the same
        ticket without a second charge: its first draw never left. `admit` sees all charges and
        raises to refuse; it runs while the ledger is held, so of two racing requests one wins.

        Raises:
            PolicyRefused: PO110 when the slot was used for another request, PO111 when the study is
                not approved, PO112 when it is closed; and what `admit` raises.
            IntegrityError, SystemFault: see `log.Log.transaction`.
        """
        with self.log.transaction() as transaction:
            record = self._state.slots.get(slot.key)
            if record is not None and record.settlement:
                return _again(transaction.connection, record, request_digest, event)
            self._state.require_approved(slot.study)
            if slot.study in self._state.closed:
                raise PolicyRefused("PO112")
            if record is not None:
                return _again(transaction.connection, record, request_digest, event)
            admit(tuple(self._state.charges))
            body = ReleaseReserved(slot=slot, request=request_digest, event=event)
            position = transaction.append(body)
        return Ticket(position.seq, slot, request_digest, event)

    def settle(
        self, ticket: Ticket, release_digest: str, make_reply: Callable[[Position], bytes]
    ) -> bytes:
        """Record a computed release and its reply in one step; only then may the reply leave.

        If another process settled the slot meanwhile, its reply is returned and this draw is
        dropped.

        Raises:
            IntegrityError: IN109 when the ticket is not of this ledger.
            SystemFault: SY001 when the disk is full; the reservation stays spent.
        """
        with self.log.transaction() as transaction:
            record = self._state.slots.get(ticket.slot.key)
            if record is None or record.ticket != ticket:
                raise IntegrityError("IN109", "the ticket was not issued by this ledger")
            if record.settlement is not None:
                return _stored(transaction.connection, record).reply
            body = ReleaseSettled(reserved=ticket.seq, slot=ticket.slot, release=release_digest)
            reply = make_reply(transaction.append(body))
            row = (ticket.seq, digest(reply), reply)
            transaction.connection.execute("INSERT INTO reply VALUES (?, ?, ?)", row)
        return reply

    def stored_reply(self, slot: Slot, request_digest: str) -> bytes | None:
        """Return the answer a slot already got to this very request, without writing anything."""
        with self.log.reading() as connection:
            record = self._state.slots.get(slot.key)
            same = record is not None and record.ticket.request_digest == request_digest
            if record is None or not record.settlement or not same:
                return None
            return _stored(connection, record).reply

    def refuse(self, study: str, code: str, request_digest: str) -> None:
        """Count a refused request; only the 1st, 2nd, 4th, 8th, … of a study and code is logged."""
        with self.log.reading():
            # studies never approved here count as one: peers cannot make the log grow
            known = study if study in self._state.approvals else None
            count = self._state.count_refusal(known, code)
        if count is not None:
            body = RequestRefused(study=known, code=code, request=request_digest, count=count)
            self.log.append(body)

    def latest_time(self) -> str:
        """Return the latest time of any entry (RFC 3339, UTC), wherever it stands."""
        with self.log.reading():
            return self._state.latest

    def charges(self, study: str | None = None) -> list[Charge]:
        """List what the budget paid for, oldest first; all studies, or one."""
        with self.log.reading():
            return [c for c in self._state.charges if study is None or c.study == study]

    def spent(self, study: str) -> EventCounts:
        """Return the events that a study was charged for, counted; empty when there is none."""
        with self.log.reading():
            return self._state.spent.get(study, EventCounts()).copy()

    def receipts(self, study: str) -> list[Envelope]:
        """Return the signed receipts of all settled releases of a study, oldest first."""
        with self.log.reading():
            return [_receipt(self._key, self.site, *pair) for pair in self._state.settled(study)]


def upgrade_site_ledger(
    path: Path, *, key: SigningKey, site: str, dataset: str, clock: Clock
) -> tuple[int, int]:
    """Bring a ledger of an older version to this one, see `log.upgrade_log`."""
    return upgrade_log(path, _spec(key, site, dataset), key, clock)


def _spec(key: SigningKey, site: str, dataset: str) -> LogSpec:
    genesis = LedgerCreated(role="site", name=site, dataset=dataset, key=str(key.public))
    return LogSpec(site_origin(site, dataset), genesis, SITE_KINDS, _REPLY_TABLE)


def _receipt(key: SigningKey, site: str, ticket: Ticket, settlement: Settlement) -> Envelope:
    return make_receipt(
        key,
        site=site,
        ticket=ticket,
        release_digest=settlement.release_digest,
        position=settlement.position,
    )


def _again(
    connection: sqlite3.Connection, record: SlotRecord, request: str, event: Event
) -> Ticket | StoredReply:
    if record.ticket.request_digest != request or record.ticket.event != event:
        raise PolicyRefused("PO110")
    return _stored(connection, record) if record.settlement else record.ticket


def _stored(connection: sqlite3.Connection, record: SlotRecord) -> StoredReply:
    row = connection.execute(
        "SELECT digest, reply FROM reply WHERE reserved = ?", (record.ticket.seq,)
    ).fetchone()
    if row is None or record.settlement is None or digest(row[1]) != row[0]:
        raise IntegrityError("IN110")
    return StoredReply(bytes(row[1]), record.settlement.release_digest)
