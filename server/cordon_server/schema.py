"""Tables of the coordinator's store (SQLAlchemy 2; SQLite and PostgreSQL)."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Integer, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Base of all tables."""


class SiteRow(Base):
    """An enrolled hospital and its two public keys.

    key_serial: how many SuperNode keys it made before this one. revoked_at: "" while it is welcome.
    """

    __tablename__ = "site"
    site: Mapped[str] = mapped_column(String(63), primary_key=True)
    identity_key: Mapped[str] = mapped_column(String(80), unique=True)
    supernode_key: Mapped[str] = mapped_column(Text)
    enrolled_at: Mapped[str] = mapped_column(String(24))
    key_serial: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    revoked_at: Mapped[str] = mapped_column(String(24), default="", server_default="")


class WithdrawnKeyRow(Base):
    """A SuperNode key that is refused: its site replaced it, or was revoked."""

    __tablename__ = "withdrawn_key"
    supernode_key: Mapped[str] = mapped_column(String(400), primary_key=True)
    site: Mapped[str] = mapped_column(String(63))
    withdrawn_at: Mapped[str] = mapped_column(String(24))


class StudyRow(Base):
    """A signed study."""

    __tablename__ = "study"
    digest: Mapped[str] = mapped_column(String(71), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), index=True)
    version: Mapped[int] = mapped_column(Integer)
    envelope: Mapped[str] = mapped_column(Text)
    signed_at: Mapped[str] = mapped_column(String(24))


class CampaignRow(Base):
    """One run of a study, with the place where it stands.

    `generation` counts takeovers: a process may only write while it holds the newest one.
    """

    __tablename__ = "campaign"
    campaign: Mapped[str] = mapped_column(String(63), primary_key=True)
    study: Mapped[str] = mapped_column(ForeignKey("study.digest"), index=True)
    created_at: Mapped[str] = mapped_column(String(24))
    generation: Mapped[int] = mapped_column(Integer)
    phase: Mapped[str] = mapped_column(String(16))
    round: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(5))
    flower_run: Mapped[str] = mapped_column(String(32))


class ReplyRow(Base):
    """A site's answer to one slot: what was released and its receipt, or why there was none."""

    __tablename__ = "reply"
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.campaign"), primary_key=True)
    phase: Mapped[str] = mapped_column(String(16), primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    site: Mapped[str] = mapped_column(String(63), primary_key=True)
    code: Mapped[str] = mapped_column(String(5))
    release_digest: Mapped[str] = mapped_column(String(71))
    receipt: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str] = mapped_column(Text)
    arrays: Mapped[bytes] = mapped_column(LargeBinary)


class RoundRow(Base):
    """A finished training round: who took part, which weights went in and came out."""

    __tablename__ = "round"
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.campaign"), primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    sites: Mapped[str] = mapped_column(Text)
    weights_in: Mapped[str] = mapped_column(String(71))
    weights_out: Mapped[str] = mapped_column(String(71))
    update_norm: Mapped[str] = mapped_column(String(32))
    duration_ms: Mapped[int] = mapped_column(Integer)


class SnapshotRow(Base):
    """Model and optimiser after a step, as safetensors bytes; only the newest is kept."""

    __tablename__ = "snapshot"
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.campaign"), primary_key=True)
    round: Mapped[int] = mapped_column(Integer)
    arrays: Mapped[bytes] = mapped_column(LargeBinary)


class FactRow(Base):
    """A named JSON result of a phase."""

    __tablename__ = "fact"
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.campaign"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ProgressRow(Base):
    """What people who watch see, in order."""

    __tablename__ = "progress"
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.campaign"), index=True)
    at: Mapped[str] = mapped_column(String(24))
    event: Mapped[str] = mapped_column(String(24))
    phase: Mapped[str] = mapped_column(String(16))
    round: Mapped[int] = mapped_column(Integer)
    site: Mapped[str] = mapped_column(String(63))
    code: Mapped[str] = mapped_column(String(5))
    detail: Mapped[str] = mapped_column(Text)


class OutboxRow(Base):
    """An entry that a committed step owes to the coordinator's log.

    after: size of the log when the step was committed.
    """

    __tablename__ = "outbox"
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    campaign: Mapped[str] = mapped_column(ForeignKey("campaign.campaign"), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    after: Mapped[int] = mapped_column(Integer)
