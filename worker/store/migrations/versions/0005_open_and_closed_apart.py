"""On SQLite, open and closed recordings have separate indexes.

Revision ID: 0005
Revises: 0004

PostgreSQL's table stays as it is. Only one worker uses an SQLite file, so no older version
needs the replaced table.

It sets frequent vacuums of the outbox again on PostgreSQL: databases created since 0002 lacked
that setting.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

IDS = {"recording_id": True, "start_id": True, "meeting_id": False}
"""Whether two recordings may not have the same."""
PARTS = {"open": sa.text("open = 1"), "closed": sa.text("open = 0")}
OTHER_INDEXES = (
    ("recordings_open", ["app", "status"], sa.text("open = 1")),
    ("recordings_closed", ["app", "status", "changed_at"], sa.text("open = 0")),
    ("recordings_due", ["app", "read_at"], sa.text("read_at IS NOT NULL")),
    ("recordings_changed", ["changed_at"], None),
    ("recordings_status", ["status", "changed_at"], None),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _drop_indexes("recordings_start_id", "recordings_meeting_id")
        _copy_into_new_table()
        for column, unique in IDS.items():
            for part, where in PARTS.items():
                name = f"recordings_{part}_{column}"
                op.create_index(name, "recordings", [column], unique=unique, sqlite_where=where)
        _create_other_indexes()
    else:
        op.execute(
            "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_analyze_scale_factor = 0.02)"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _drop_indexes(*(f"recordings_{part}_{column}" for column in IDS for part in PARTS))
        _copy_into_new_table(sa.PrimaryKeyConstraint("recording_id"))
        for column in ("start_id", "meeting_id"):
            op.create_index(f"recordings_{column}", "recordings", [column], unique=IDS[column])
        _create_other_indexes()


def _drop_indexes(*by_id: str) -> None:
    for name in (*by_id, *(name for name, *_ in OTHER_INDEXES)):
        op.drop_index(name, "recordings")


def _create_other_indexes() -> None:
    for name, columns, where in OTHER_INDEXES:
        op.create_index(name, "recordings", columns, sqlite_where=where)


def _copy_into_new_table(*key: sa.PrimaryKeyConstraint) -> None:
    op.rename_table("recordings", "recordings_before")
    new = op.create_table(
        "recordings",
        sa.Column("recording_id", sa.String(128), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("meeting_id", sa.String(128)),
        sa.Column("start_id", sa.String(128)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.Column("first_seen_at", sa.Double),
        sa.Column("told_at", sa.Double),
        sa.Column("read_at", sa.Double),
        *key,
        sa.CheckConstraint("kind IN ('track', 'composite')", name="recordings_kind"),
        sa.CheckConstraint(
            "status IN ('INVOKED', 'RECORDING', 'PAUSED', 'UPLOADING', 'UPLOADED', 'ERRORED')",
            name="recordings_status",
        ),
    )
    before = sa.table("recordings_before", *(sa.column(one.name) for one in new.c))
    op.execute(sa.insert(new).from_select(new.c.keys(), sa.select(before)))
    op.drop_table("recordings_before")
