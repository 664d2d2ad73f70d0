"""The tables of the first version, as far as later steps build on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NAME, _TIME, _DIGEST, _CODE = sa.String(63), sa.String(24), sa.String(71), sa.String(5)


def upgrade() -> None:
    """Make them."""
    op.create_table("schema_version", sa.Column("version", sa.Integer, primary_key=True))
    op.create_table(
        "site",
        sa.Column("site", _NAME, primary_key=True),
        sa.Column("identity_key", sa.String(80), nullable=False, unique=True),
        _text("supernode_key"),
        sa.Column("enrolled_at", _TIME, nullable=False),
    )
    op.create_table(
        "study",
        sa.Column("digest", _DIGEST, primary_key=True),
        sa.Column("name", _NAME, nullable=False, index=True),
        _number("version"),
        _text("envelope"),
        sa.Column("signed_at", _TIME, nullable=False),
    )
    op.create_table(
        "campaign",
        sa.Column("campaign", _NAME, primary_key=True),
        sa.Column("study", _DIGEST, sa.ForeignKey("study.digest"), nullable=False, index=True),
        sa.Column("created_at", _TIME, nullable=False),
        _number("generation"),
        sa.Column("phase", sa.String(16), nullable=False),
        _number("round"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("code", _CODE, nullable=False),
        sa.Column("flower_run", sa.String(32), nullable=False),
    )
    _of_a_campaign()


def _of_a_campaign() -> None:
    op.create_table(
        "reply",
        _campaign(primary_key=True),
        sa.Column("phase", sa.String(16), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("site", _NAME, primary_key=True),
        sa.Column("code", _CODE, nullable=False),
        sa.Column("release_digest", _DIGEST, nullable=False),
        _text("receipt"),
        _text("verdict"),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "round",
        _campaign(primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        _text("sites"),
        sa.Column("weights_in", _DIGEST, nullable=False),
        sa.Column("weights_out", _DIGEST, nullable=False),
        sa.Column("update_norm", sa.String(32), nullable=False),
        _number("duration_ms"),
    )
    op.create_table(
        "snapshot",
        _campaign(primary_key=True),
        _number("round"),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "fact",
        _campaign(primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        _text("value"),
    )
    op.create_table(
        "progress",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        _campaign(index=True),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("event", _TIME, nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        _number("round"),
        sa.Column("site", _NAME, nullable=False),
        sa.Column("code", _CODE, nullable=False),
        _text("detail"),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        _campaign(index=True),
        sa.Column("kind", sa.String(40), nullable=False),
        _text("body"),
        _number("after"),
    )


def _campaign(*, primary_key: bool = False, index: bool = False) -> sa.Column[str]:
    return sa.Column(
        "campaign",
        _NAME,
        sa.ForeignKey("campaign.campaign"),
        primary_key=primary_key,
        index=index or None,
        nullable=False,
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False)
