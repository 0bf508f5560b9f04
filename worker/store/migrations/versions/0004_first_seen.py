"""The time since when each recording is known, which alternating statuses cannot change.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("recordings", sa.Column("first_seen_at", sa.Double))


def downgrade() -> None:
    op.drop_column("recordings", "first_seen_at")
