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
    op.create_index("recordings_changed", "recordings", ["changed_at"])
    op.create_index("recordings_status", "recordings", ["status", "changed_at"])
    _mend_open()
    _vacuum_often()
    done = sa.text("state = 'done'")
    op.create_index(
        "inbox_done", "inbox", ["finished_at"], sqlite_where=done, postgresql_where=done
    )


def _mend_open() -> None:
    """Counted by status without the rows; and spelt as in the queries, else SQLite ignores it."""
    op.drop_index("recordings_open", "recordings")
    op.create_index(
        "recordings_open",
        "recordings",
        ["app", "status"],
        sqlite_where=sa.text("open = 1"),
        postgresql_where=sa.text("open"),
    )


def _vacuum_often() -> None:
    """Each row of the outbox is dead twice: when it is marked, and when it is removed."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_analyze_scale_factor = 0.02)"
        )


def downgrade() -> None:
    op.drop_index("inbox_done", "inbox")
    for index in ("recordings_status", "recordings_changed", "recordings_due"):
        op.drop_index(index, "recordings")
    for column in ("read_at", "told_at"):
        op.drop_column("recordings", column)
    for table in ("marks", "budgets"):
        op.drop_table(table)
