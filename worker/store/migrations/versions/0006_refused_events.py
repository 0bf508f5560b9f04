"""When an event that the broker did not take is to be published again, and why it was not taken.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

HELD = sa.text("sent_at IS NULL AND retry_at <> 0")


def upgrade() -> None:
    op.add_column("outbox", sa.Column("retry_at", sa.Double, nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("tries", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("losses", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outbox", sa.Column("last_error", sa.Text))
    op.create_index(
        "outbox_held",
        "outbox",
        ["subject", "position"],
        sqlite_where=HELD,
        postgresql_where=HELD,
    )


def downgrade() -> None:
    op.drop_index("outbox_held", "outbox")
    for name in ("last_error", "losses", "tries", "retry_at"):
        op.drop_column("outbox", name)
