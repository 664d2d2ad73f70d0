"""A round may need several attempts: a reply is kept by its attempt too; older ones were the first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_COPIED = "campaign, phase, round, site, code, release_digest, receipt, verdict, arrays"


def upgrade() -> None:
    """Make the table anew: SQLite cannot change a primary key in place."""
    op.rename_table("reply", "reply_before")
    op.create_table(
        "reply",
        sa.Column("campaign", sa.String(63), sa.ForeignKey("campaign.campaign"), primary_key=True),
        sa.Column("phase", sa.String(16), primary_key=True),
        sa.Column("round", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("site", sa.String(63), primary_key=True),
        sa.Column("code", sa.String(5), nullable=False),
        sa.Column("release_digest", sa.String(71), nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
    )
    op.execute(f"INSERT INTO reply ({_COPIED}, attempt) SELECT {_COPIED}, 0 FROM reply_before")  # noqa: S608 - our own names
    op.drop_table("reply_before")
