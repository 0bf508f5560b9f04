"""What following many recordings needs: budgets, marks, and when to read a recording next.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
    )
    op.add_column("recordings", sa.Column("told_at", sa.Double))
    op.add_column("recordings", sa.Column("read_at", sa.Double))
    due = sa.text("read_at IS NOT NULL")
    op.create_index(
        "recordings_due",
        "recordings",
        ["app", "read_at"],
        sqlite_where=due,
        postgresql_where=due,
    )
    closed = sa.text("NOT open")
    op.create_index(
        "recordings_closed",
        "recordings",
        ["changed_at"],
        sqlite_where=closed,
        postgresql_where=closed,
    )
    done = sa.text("state = 'done'")
    op.create_index(
        "inbox_done", "inbox", ["finished_at"], sqlite_where=done, postgresql_where=done
    )


def downgrade() -> None:
    op.drop_index("inbox_done", "inbox")
    for index in ("recordings_closed", "recordings_due"):
        op.drop_index(index, "recordings")
    for column in ("read_at", "told_at"):
        op.drop_column("recordings", column)
    for table in ("marks", "budgets"):
        op.drop_table(table)
