"""The coordinator's store: enrolled sites, signed studies and their campaigns.

Everything here is public to the coordinator: keys, releases, receipts. No record ever arrives.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cordon_common.clock import timestamp
from cordon_common.errors import SystemFault, UsageError
from cordon_common.signing import Envelope
from cordon_server import roster
from cordon_server.migrate import require_current
from cordon_server.schema import CampaignRow, ProgressRow, StudyRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.pool import ConnectionPoolEntry

    from cordon_common.clock import Clock
    from cordon_common.enrolment import EnrolmentRequest
    from cordon_common.protocol.study import Study
    from cordon_server.roster import EnrolledSite


@dataclass(frozen=True)
class StoredStudy:
    """A signed study in the store."""

    digest: str
    name: str
    version: int
    envelope: Envelope
    signed_at: str


@dataclass(frozen=True)
class CampaignState:
    """Where a campaign stands.

    status: "ready" (never started), "running", "stopped" (code says why) or "finished".
    round: number of training rounds already committed.
    """

    campaign: str
    study: str
    phase: str
    round: int
    status: str
    code: str
    generation: int
    flower_run: str


class Store:
    """Sites, studies and campaigns behind one SQLAlchemy URL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that commits at the end or rolls back whole.

        Raises:
            SystemFault: SY001 when the disk is full, SY021 when the database fails otherwise.
        """
        try:
            with Session(self._engine) as session, session.begin():
                yield session
        except SQLAlchemyError as error:
            cause = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
            if cause == "SQLITE_FULL":
                raise SystemFault("SY001") from error
            raise SystemFault("SY021", why=cause or type(error).__name__) from error

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    # -- sites -----------------------------------------------------------------------------------

    def add_site(self, request: EnrolmentRequest, clock: Clock) -> EnrolledSite:
        """Enrol a site or replace its SuperNode key; the same request again changes nothing.

        Raises:
            UsageError: see `roster.enrol`.
        """
        with self.transaction() as session:
            return roster.enrol(session, request, timestamp(clock()))

    def revoke_site(self, site: str, clock: Clock) -> EnrolledSite:
        """Refuse a site's keys from here on; doing it twice changes nothing.

        Raises:
            UsageError: US024 when there is no such site.
        """
        with self.transaction() as session:
            return roster.revoke(session, site, timestamp(clock()))

    def sites(self) -> tuple[EnrolledSite, ...]:
        """List the enrolled sites that were not revoked, by name."""
        with self.transaction() as session:
            return tuple(site for site in roster.everyone(session) if not site.revoked_at)

    def revoked_sites(self) -> tuple[EnrolledSite, ...]:
        """List the revoked sites, by name."""
        with self.transaction() as session:
            return tuple(site for site in roster.everyone(session) if site.revoked_at)

    def withdrawn_keys(self) -> frozenset[str]:
        """Return the SuperNode keys that must be refused (OpenSSH lines)."""
        with self.transaction() as session:
            return roster.withdrawn(session)

    # -- studies ---------------------------------------------------------------------------------

    def add_study(self, study: Study, envelope: Envelope, clock: Clock) -> None:
        """Keep a signed study; the same one again changes nothing.

        Raises:
            UsageError: US026 when another study has the same name and version.
        """
        with self.transaction() as session:
            if session.get(StudyRow, envelope.digest) is not None:
                return
            query = select(StudyRow).where(
                StudyRow.name == study.name, StudyRow.version == study.version
            )
            if session.scalars(query).first() is not None:
                raise UsageError("US026", f"{study.name} version {study.version} is signed already")
            session.add(
                StudyRow(
                    digest=envelope.digest,
                    name=study.name,
                    version=study.version,
                    envelope=envelope.model_dump_json(),
                    signed_at=timestamp(clock()),
                )
            )

    def studies(self) -> tuple[StoredStudy, ...]:
        """List the signed studies, by name and version."""
        with self.transaction() as session:
            query = select(StudyRow).order_by(StudyRow.name, StudyRow.version)
            return tuple(_study(row) for row in session.scalars(query))

    def find_study(self, name_or_digest: str) -> StoredStudy:
        """Return a study by digest, or the newest version of a name.

        Raises:
            UsageError: US021 when there is none.
        """
        found = [study for study in self.studies() if name_or_digest in {study.name, study.digest}]
        if not found:
            raise UsageError("US021", f"there is no signed study {name_or_digest} here")
        return found[-1]

    # -- campaigns -------------------------------------------------------------------------------

    def add_campaign(self, study: StoredStudy, clock: Clock, *, again: bool = False) -> str:
        """Open a campaign for a study and return its id, `<study name>-v<version>-<number>`.

        Raises:
            UsageError: US022 when the study has one already and `again` is not set.
        """
        with self.transaction() as session:
            query = select(CampaignRow).where(CampaignRow.study == study.digest)
            number = len(session.scalars(query).all())
            if number and not again:
                raise UsageError("US022", f"{study.name} has a campaign already")
            campaign = f"{study.name[:50].rstrip('-')}-v{study.version}-{number + 1}"
            session.add(
                CampaignRow(
                    campaign=campaign,
                    study=study.digest,
                    created_at=timestamp(clock()),
                    generation=0,
                    phase="enrol",
                    round=0,
                    status="ready",
                    code="",
                    flower_run="",
                )
            )
            return campaign

    def campaigns(self, study: str | None = None) -> tuple[CampaignState, ...]:
        """List campaigns, oldest first, of one study digest or of all."""
        with self.transaction() as session:
            query = select(CampaignRow).order_by(CampaignRow.created_at, CampaignRow.campaign)
            rows = session.scalars(query).all()
            return tuple(campaign_state(row) for row in rows if study in {None, row.study})

    def newest_campaign(self, study: StoredStudy) -> CampaignState:
        """Return the newest campaign of a study.

        Raises:
            UsageError: US023 when it has none.
        """
        campaigns = self.campaigns(study.digest)
        if not campaigns:
            raise UsageError("US023", f"{study.name} was never launched")
        return campaigns[-1]

    def set_flower_run(self, campaign: str, flower_run: str) -> None:
        """Remember which Flower run carries the campaign now."""
        with self.transaction() as session:
            row = session.get_one(CampaignRow, campaign)
            row.flower_run = flower_run

    def set_ready(self, campaign: str) -> None:
        """Mark a campaign as waiting for a process to carry it on."""
        with self.transaction() as session:
            row = session.get_one(CampaignRow, campaign)
            row.status, row.code = "ready", ""

    def progress_after(self, campaign: str, seq: int) -> tuple[ProgressEvent, ...]:
        """List what happened in a campaign after event number `seq`."""
        with self.transaction() as session:
            query = (
                select(ProgressRow)
                .where(ProgressRow.campaign == campaign, ProgressRow.seq > seq)
                .order_by(ProgressRow.seq)
            )
            return tuple(_progress(row) for row in session.scalars(query))


@dataclass(frozen=True)
class ProgressEvent:
    """One line of a campaign's progress."""

    seq: int
    at: str
    event: str
    phase: str
    round: int
    site: str
    code: str
    detail: dict[str, object]


def open_engine(url: str) -> Engine:
    """Connect to a database without looking at what it holds.

    Raises:
        SystemFault: SY021 when the URL or its driver cannot be used.
    """
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise SystemFault("SY021", why=type(error).__name__) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def open_store(url: str) -> Store:
    """Open the store, making its tables when there are none.

    Raises:
        SystemFault: SY021 when the database cannot be used, SY070 when another version made it.
    """
    engine = open_engine(url)
    try:
        require_current(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise SystemFault("SY021", why=type(error).__name__) from error
    except SystemFault:
        engine.dispose()
        raise
    return Store(engine)


def campaign_state(row: CampaignRow) -> CampaignState:
    """Read a campaign's row."""
    return CampaignState(
        campaign=row.campaign,
        study=row.study,
        phase=row.phase,
        round=row.round,
        status=row.status,
        code=row.code,
        generation=row.generation,
        flower_run=row.flower_run,
    )


def _prepare_sqlite(connection: object, _record: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # the driver's own connection
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _study(row: StudyRow) -> StoredStudy:
    envelope = Envelope.model_validate_json(row.envelope)
    return StoredStudy(row.digest, row.name, row.version, envelope, row.signed_at)


def _progress(row: ProgressRow) -> ProgressEvent:
    return ProgressEvent(
        seq=row.seq,
        at=row.at,
        event=row.event,
        phase=row.phase,
        round=row.round,
        site=row.site,
        code=row.code,
        detail=json.loads(row.detail),
    )
