"""What one campaign has done, written step by step: each step is one transaction.

Guarantee: after a crash at any moment the journal stands at the end of a step, and a step's entries
in the coordinator's log are neither lost nor written twice (see `Journal.settle_log`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np
from safetensors.numpy import load as load_arrays
from sqlalchemy import delete, select

from cordon_common.canonical import Json, canonical_bytes
from cordon_common.clock import Clock, timestamp
from cordon_common.errors import SystemFault
from cordon_common.ledger.entries import COORDINATOR_KINDS
from cordon_common.signing import Envelope
from cordon_common.wire import Arrays, array_bytes
from cordon_server.schema import (
    CampaignRow,
    FactRow,
    OutboxRow,
    ProgressRow,
    ReplyRow,
    RoundRow,
    SnapshotRow,
)
from cordon_server.store import CampaignState, campaign_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from cordon_common.ledger.body import Body
    from cordon_server.store import Store

Phase = Literal["enrol", "qc", "gate", "train", "evaluate", "close", "done"]
ReplyPhase = Literal["enrol", "qc", "train", "evaluate", "close"]


@dataclass(frozen=True)
class SiteReply:
    """A site's answer in a phase and round: a checked release, or the code of why there is none.

    arrays: the release (int64), kept for qc and evaluate; training releases are kept as digests.
    attempt: above 0 where a masked sum had to be made again.
    """

    site: str
    phase: ReplyPhase
    round: int
    code: str = ""
    release_digest: str = ""
    receipt: Envelope | None = None
    verdict: dict[str, Json] | None = None
    arrays: Arrays = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True)
class RoundRecord:
    """A finished training round. update_norm: L2 norm of the change of the weights."""

    round: int
    sites: tuple[str, ...]
    weights_in: str
    weights_out: str
    update_norm: float
    duration_ms: int


@dataclass(frozen=True)
class Note:
    """A line of progress for people."""

    event: str
    site: str = ""
    code: str = ""
    detail: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """All that one step decides; `phase` and `round` say where the campaign stands after it."""

    phase: Phase
    round: int = 0
    replies: tuple[SiteReply, ...] = ()
    round_record: RoundRecord | None = None
    snapshot: Arrays | None = None
    facts: dict[str, Json] = field(default_factory=dict)
    entries: tuple[Body, ...] = ()
    notes: tuple[Note, ...] = ()


class LogSink(Protocol):
    """The coordinator's append-only log, as a journal needs it."""

    def size(self) -> int:
        """Return the number of entries."""

    def bodies_from(self, seq: int) -> list[Body]:
        """Return what the entries from `seq` on say."""

    def append_all(self, bodies: Sequence[Body]) -> None:
        """Append entries in one transaction."""


class Journal:
    """Reads and writes one campaign; a newer holder (see `take_over`) locks out the older one."""

    def __init__(
        self, store: Store, campaign: str, clock: Clock, log: LogSink | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._generation: int | None = None
        self._settled: list[int] = []
        self.campaign = campaign

    def take_over(self) -> None:
        """Become the only process that may write to this campaign, and mark it running."""
        with self._store.transaction() as session:
            row = session.get_one(CampaignRow, self.campaign, with_for_update=True)
            row.generation += 1
            row.status, row.code = "running", ""
            self._generation = row.generation

    @property
    def state(self) -> CampaignState:
        """Where the campaign stands."""
        with self._store.transaction() as session:
            return campaign_state(session.get_one(CampaignRow, self.campaign))

    # -- writing ---------------------------------------------------------------------------------

    def commit(self, step: Step) -> None:
        """Write a whole step, or nothing.

        Raises:
            SystemFault: SY020 when another process took over, SY021 when the database fails.
        """
        with self._store.transaction() as session:
            row = self._own(session)
            self._cross_off(session)
            phase, number = row.phase, row.round
            row.phase, row.round = step.phase, step.round
            for reply in step.replies:
                session.merge(_reply_row(self.campaign, reply))
            if step.round_record is not None:
                session.merge(_round_row(self.campaign, step.round_record))
            if step.snapshot is not None:
                session.merge(
                    SnapshotRow(
                        campaign=self.campaign,
                        round=step.round,
                        arrays=array_bytes(step.snapshot),
                    )
                )
            for name, value in step.facts.items():
                session.merge(FactRow(campaign=self.campaign, name=name, value=_text(value)))
            self._add_entries(session, step.entries)
            self._add_notes(session, phase, number, step.notes)
        self._settled.clear()  # the numbers of rows that were crossed off may come again

    def note(self, *notes: Note) -> None:
        """Add lines of progress at once, outside a step."""
        with self._store.transaction() as session:
            row = self._own(session)
            self._add_notes(session, row.phase, row.round, notes)

    def remember(
        self, name: str, value: Json, *notes: Note, entries: tuple[Body, ...] = ()
    ) -> None:
        """Write down a decision of a person, outside a step and whoever runs the campaign."""
        with self._store.transaction() as session:
            row = session.get_one(CampaignRow, self.campaign)
            session.merge(FactRow(campaign=self.campaign, name=name, value=_text(value)))
            self._add_entries(session, entries)
            self._add_notes(session, row.phase, row.round, notes)

    def stop(self, code: str, detail: dict[str, Json], entry: Body) -> None:
        """Mark the campaign stopped for a coded reason; a resume may take it up again."""
        with self._store.transaction() as session:
            row = self._own(session)
            row.status, row.code = "stopped", code
            self._add_entries(session, (entry,))
            note = Note("campaign.stopped", code=code, detail=detail)
            self._add_notes(session, row.phase, row.round, (note,))

    def finish(self) -> None:
        """Mark the campaign finished, once everything that belongs to it is written."""
        with self._store.transaction() as session:
            row = self._own(session)
            row.status = "finished"
            self._add_notes(session, row.phase, row.round, (Note("campaign.finished"),))

    def settle_log(self) -> None:
        """Hand the owed entries to the coordinator's log, each exactly once.

        The log is another file. So an entry is owed together with the log's size at that time, is
        appended, and is crossed off in the next step's transaction. After a crash in between, the
        entries are found in the log behind that size, and only those that follow are appended.
        """
        owed = [row for row in self._owed() if row.seq not in self._settled]
        if not owed or self._log is None:
            return
        bodies = [COORDINATOR_KINDS[row.kind].model_validate_json(row.body) for row in owed]
        present = iter(self._log.bodies_from(owed[0].after))
        written = 0
        while written < len(bodies) and any(body == bodies[written] for body in present):
            written += 1
        if bodies[written:]:
            self._log.append_all(bodies[written:])
        self._settled += [row.seq for row in owed]

    def _owed(self) -> list[OutboxRow]:
        with self._store.transaction() as session:
            query = select(OutboxRow).where(OutboxRow.campaign == self.campaign)
            owed = list(session.scalars(query.order_by(OutboxRow.seq)))
            session.expunge_all()
        return owed

    def _cross_off(self, session: Session) -> None:
        if self._settled:
            session.execute(delete(OutboxRow).where(OutboxRow.seq.in_(self._settled)))

    # -- reading ---------------------------------------------------------------------------------

    def snapshot(self) -> Arrays:
        """Return model and optimiser as of the last committed step."""
        with self._store.transaction() as session:
            data = session.get_one(SnapshotRow, self.campaign).arrays
        return cast("Arrays", load_arrays(data))

    def fact(self, name: str) -> Json:
        """Return a phase's JSON result.

        Raises:
            SystemFault: SY021 when the step that makes it was never committed.
        """
        with self._store.transaction() as session:
            row = session.get(FactRow, (self.campaign, name))
            if row is None:
                raise SystemFault("SY021", f"the store holds no result {name} of this campaign")
            return json.loads(row.value)

    def facts(self) -> dict[str, Json]:
        """Return all JSON results so far."""
        with self._store.transaction() as session:
            query = select(FactRow).where(FactRow.campaign == self.campaign).order_by(FactRow.name)
            return {row.name: json.loads(row.value) for row in session.scalars(query)}

    def replies(self, phase: ReplyPhase | None = None) -> tuple[SiteReply, ...]:
        """List the sites' answers, by phase, round and site."""
        with self._store.transaction() as session:
            query = select(ReplyRow).where(ReplyRow.campaign == self.campaign)
            if phase is not None:
                query = query.where(ReplyRow.phase == phase)
            query = query.order_by(ReplyRow.phase, ReplyRow.round, ReplyRow.attempt, ReplyRow.site)
            return tuple(_reply(row) for row in session.scalars(query))

    def rounds(self) -> tuple[RoundRecord, ...]:
        """List the finished training rounds."""
        with self._store.transaction() as session:
            query = select(RoundRow).where(RoundRow.campaign == self.campaign)
            rows = session.scalars(query.order_by(RoundRow.round))
            return tuple(_round(row) for row in rows)

    # -- inside ----------------------------------------------------------------------------------

    def _own(self, session: Session) -> CampaignRow:
        row = session.get_one(CampaignRow, self.campaign, with_for_update=True)
        if row.generation != self._generation:
            raise SystemFault("SY020")
        return row

    def _add_entries(self, session: Session, entries: tuple[Body, ...]) -> None:
        after = self._log.size() if self._log is not None and entries else 0
        for entry in entries:
            body = _text(entry.model_dump(mode="json"))
            session.add(OutboxRow(campaign=self.campaign, kind=entry.KIND, body=body, after=after))

    def _add_notes(
        self, session: Session, phase: str, number: int, notes: tuple[Note, ...]
    ) -> None:
        at = timestamp(self._clock())
        for note in notes:
            session.add(
                ProgressRow(
                    campaign=self.campaign,
                    at=at,
                    event=note.event,
                    phase=phase,
                    round=number,
                    site=note.site,
                    code=note.code,
                    detail=_text(note.detail),
                )
            )


def _text(value: Json) -> str:
    return canonical_bytes(value).decode()


def _reply_row(campaign: str, reply: SiteReply) -> ReplyRow:
    return ReplyRow(
        campaign=campaign,
        phase=reply.phase,
        round=reply.round,
        attempt=reply.attempt,
        site=reply.site,
        code=reply.code,
        release_digest=reply.release_digest,
        receipt=reply.receipt.model_dump_json() if reply.receipt else "",
        verdict=_text(reply.verdict),
        arrays=array_bytes(reply.arrays),
    )


def _reply(row: ReplyRow) -> SiteReply:
    return SiteReply(
        site=row.site,
        phase=cast("ReplyPhase", row.phase),
        round=row.round,
        attempt=row.attempt,
        code=row.code,
        release_digest=row.release_digest,
        receipt=Envelope.model_validate_json(row.receipt) if row.receipt else None,
        verdict=json.loads(row.verdict),
        arrays=cast("Arrays", load_arrays(row.arrays)) if row.arrays else {},
    )


def _round_row(campaign: str, record: RoundRecord) -> RoundRow:
    return RoundRow(
        campaign=campaign,
        round=record.round,
        sites=_text(list(record.sites)),
        weights_in=record.weights_in,
        weights_out=record.weights_out,
        update_norm=repr(float(np.float64(record.update_norm))),
        duration_ms=record.duration_ms,
    )


def _round(row: RoundRow) -> RoundRecord:
    return RoundRecord(
        round=row.round,
        sites=tuple(json.loads(row.sites)),
        weights_in=row.weights_in,
        weights_out=row.weights_out,
        update_norm=float(row.update_norm),
        duration_ms=row.duration_ms,
    )
