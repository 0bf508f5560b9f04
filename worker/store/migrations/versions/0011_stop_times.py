"""When to stop a recording whose start limits its duration.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("recordings", sa.Column("stop_at", sa.Double))
    is_set = sa.text("stop_at IS NOT NULL")
    op.create_index(
        "recordings_to_stop",
        "recordings",
        ["app", "stop_at"],
        sqlite_where=is_set,
        postgresql_where=is_set,
    )


def downgrade() -> None:
    op.drop_index("recordings_to_stop", "recordings")
    op.drop_column("recordings", "stop_at")
