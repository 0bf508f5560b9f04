"""What showing one app's recordings needs.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_index(
        "recordings_closed",
        "recordings",
        ["app", "status", "changed_at"],
        sqlite_where=sa.text("open = 0"),
        postgresql_where=sa.text("NOT open"),
    )


def downgrade() -> None:
    op.drop_index("recordings_closed", "recordings")
