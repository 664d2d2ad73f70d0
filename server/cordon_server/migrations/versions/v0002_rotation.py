"""SuperNode keys can be replaced, sites can be revoked; steps are counted by Alembic from here on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what enrolment keeps about older keys; drop the number that came before the steps."""
    op.add_column("site", sa.Column("key_serial", sa.Integer, nullable=False, server_default="0"))
    op.add_column("site", sa.Column("revoked_at", sa.String(24), nullable=False, server_default=""))
    op.create_table(
        "withdrawn_key",
        sa.Column("supernode_key", sa.String(400), primary_key=True),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("withdrawn_at", sa.String(24), nullable=False),
    )
    op.drop_table("schema_version")
