"""First tables.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _inbox()
    _recordings()
    _files()
    _outbox()
    _leases()


def downgrade() -> None:
    for table in ("leases", "outbox", "files", "recordings", "inbox"):
        op.drop_table(table)


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("command_id", sa.String(128), primary_key=True),
        sa.Column("command_type", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("alone", sa.Boolean, nullable=False),
        sa.Column("first_seen_at", sa.Double, nullable=False),
        sa.Column("slot", sa.String(512)),
        sa.Column("holds", sa.String(512)),
        sa.Column("called_at", sa.Double),
        sa.Column("last_called_at", sa.Double),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", sa.Double),
        sa.Column("last_error", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("finished_at", sa.Double),
        sa.CheckConstraint("state IN ('running', 'waiting', 'done')", name="inbox_state"),
        sa.CheckConstraint("(state = 'done') = (outcome IS NOT NULL)", name="inbox_outcome"),
    )
    op.create_index("inbox_holds", "inbox", ["holds"], unique=True)
    unfinished = sa.text("state <> 'done'")
    op.create_index(
        "inbox_unfinished_slot",
        "inbox",
        ["slot"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )


def _recordings() -> None:
    op.create_table(
        "recordings",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("meeting_id", sa.String(128)),
        sa.Column("start_id", sa.String(128)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.CheckConstraint("kind IN ('track', 'composite')", name="recordings_kind"),
        sa.CheckConstraint(
            "status IN ('INVOKED', 'RECORDING', 'PAUSED', 'UPLOADING', 'UPLOADED', 'ERRORED')",
            name="recordings_status",
        ),
    )
    op.create_index("recordings_start_id", "recordings", ["start_id"], unique=True)
    op.create_index("recordings_meeting_id", "recordings", ["meeting_id"])
    op.create_index(
        "recordings_open",
        "recordings",
        ["app"],
        sqlite_where=sa.text("open"),
        postgresql_where=sa.text("open"),
    )


def _files() -> None:
    op.create_table(
        "files",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("file_index", sa.Integer, primary_key=True),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("found_at", sa.Double, nullable=False),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("event_type", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("exchange", sa.String(16), nullable=False),
        sa.Column("routing_key", sa.String(255), nullable=False),
        sa.Column("correlation_id", sa.Text),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("sent_at", sa.Double),
        sa.CheckConstraint(
            "exchange IN ('status', 'files', 'results', 'reply')", name="outbox_exchange"
        ),
        sqlite_autoincrement=True,
    )
    unsent = sa.text("sent_at IS NULL")
    op.create_index(
        "outbox_unsent",
        "outbox",
        ["position"],
        sqlite_where=unsent,
        postgresql_where=unsent,
    )


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
