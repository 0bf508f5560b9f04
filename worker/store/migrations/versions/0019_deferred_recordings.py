"""A table of recordings that are adopted when no unfinished start may have begun them any more.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "deferred_recordings",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("deferred_at", sa.Double, nullable=False),
        sa.Column("observations", sa.Text, nullable=False),
    )
