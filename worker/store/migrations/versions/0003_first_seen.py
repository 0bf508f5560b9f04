"""Since when each recording is known, which a recording that flips for ever cannot put off.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("recordings", sa.Column("first_seen_at", sa.Double))


def downgrade() -> None:
    op.drop_column("recordings", "first_seen_at")
