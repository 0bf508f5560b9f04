"""Commands that wait for something outside the queue, such as the session of their meeting.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

COLUMNS = ("waits_since", "woken_at")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("inbox", sa.Column(name, sa.Double()))
    op.create_table(
        "parked_commands",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("command_id", sa.String(128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("waits_for", sa.String(16), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("parked_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("look_after", sa.Double(), nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.Column("message", sa.Text()),
        sa.CheckConstraint("waits_for IN ('session', 'start')", name="parked_commands_waits_for"),
        sqlite_autoincrement=True,
    )
    op.create_index("parked_commands_id", "parked_commands", ["command_id", "number"], unique=True)
    op.create_index("parked_commands_subject", "parked_commands", ["waits_for", "app", "subject"])
    op.create_index("parked_commands_due", "parked_commands", ["due_at"])


def downgrade() -> None:
    op.drop_table("parked_commands")
    for name in COLUMNS:
        op.drop_column("inbox", name)
