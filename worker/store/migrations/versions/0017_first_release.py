"""The tables of the first release.

Revision ID: 0017
Revises: nothing. Development versions had migrations up to 0016 (docs/adr/0039).

The tables are written out here, not taken from `worker/store/database/schema.py`: that module has
the tables of the newest version, and a later migration must find those of the first release. A test
compares `schema.py` with the tables that all migrations create together.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = None


def upgrade() -> None:
    _inbox()
    _recordings()
    _indexes_of_recordings()
    _files()
    _outbox()
    _parked_commands()
    _small_tables()
    _archive_files()
    _archive_recordings()


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
        sa.Column("reply", sa.Text),
        sa.Column("acted_on", sa.Text),
        sa.Column("cancelled_by", sa.String(128)),
        sa.Column("stops_slot", sa.String(512)),
        sa.Column("waits_since", sa.Double),
        sa.Column("woken_at", sa.Double),
        sa.Column("app", sa.String(64)),
        sa.Column("people", sa.Text),
        sa.Column("digest", sa.String(32)),
        sa.CheckConstraint("state IN ('running', 'waiting', 'done')", name="inbox_state"),
        sa.CheckConstraint("(state = 'done') = (outcome IS NOT NULL)", name="inbox_outcome"),
    )
    op.create_index("inbox_holds", "inbox", ["holds"], unique=True)
    _index("inbox_done", "inbox", ["finished_at"], where="inbox.state = 'done'")
    _index("inbox_unfinished_slot", "inbox", ["slot"], where="inbox.state <> 'done'")
    _index("inbox_stops", "inbox", ["stops_slot"], where="inbox.stops_slot IS NOT NULL")
    _index("inbox_never_seen", "inbox", ["first_seen_at"], where="inbox.attempts = 0")


def _recordings() -> None:
    key = [] if _is_sqlite() else [sa.PrimaryKeyConstraint("recording_id")]
    op.create_table(
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
        sa.Column("event_positions", sa.Text),
        sa.Column("stop_at", sa.Double),
        *key,
        sa.CheckConstraint("kind IN ('track', 'composite')", name="recordings_kind"),
        sa.CheckConstraint(
            "status IN ('INVOKED', 'RECORDING', 'PAUSED', 'UPLOADING', 'UPLOADED', 'ERRORED')",
            name="recordings_status",
        ),
    )


def _indexes_of_recordings() -> None:
    """On SQLite, open and closed recordings have separate indexes of their ids (docs/adr/0020)."""
    is_open, is_closed = ("open = 1", "open = 0") if _is_sqlite() else ("open", "NOT open")
    for column, unique in (("recording_id", True), ("start_id", True), ("meeting_id", False)):
        if _is_sqlite():
            for half, where in (("open", is_open), ("closed", is_closed)):
                name = f"recordings_{half}_{column}"
                _index(name, "recordings", [column], where=where, unique=unique)
        elif column != "recording_id":
            op.create_index(f"recordings_{column}", "recordings", [column], unique=unique)
    for name, columns, where in (
        ("recordings_open", ["app", "status"], is_open),
        ("recordings_closed", ["app", "status", "changed_at"], is_closed),
        ("recordings_due", ["app", "read_at"], "read_at IS NOT NULL"),
        ("recordings_to_stop", ["app", "stop_at"], "stop_at IS NOT NULL"),
    ):
        _index(name, "recordings", columns, where=where)
    op.create_index("recordings_changed", "recordings", ["changed_at"])
    op.create_index("recordings_status", "recordings", ["status", "changed_at"])


def _files() -> None:
    op.create_table(
        "files",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("file_index", sa.Integer, primary_key=True),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("found_at", sa.Double, nullable=False),
        sa.Column("url_hash", sa.String(64)),
        sa.Column("url_expires_at", sa.Double),
    )
    where = "files.url_expires_at IS NOT NULL"
    _index("files_url_expiry", "files", ["url_expires_at"], where=where)


def _outbox() -> None:
    op.create_table(
        "outbox",
        _position(),
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
        sa.Column("retry_at", sa.Double, nullable=False, server_default="0"),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("losses", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text),
        sa.CheckConstraint(
            "exchange IN ('status', 'files', 'results', 'reply')", name="outbox_exchange"
        ),
        sqlite_autoincrement=True,
    )
    _index("outbox_unsent", "outbox", ["position"], where="sent_at IS NULL")
    held = "outbox.sent_at IS NULL AND outbox.retry_at <> 0"
    _index("outbox_held", "outbox", ["subject", "position"], where=held)
    if not _is_sqlite():
        # Each row leaves a dead row twice: when it is marked, and when it is removed.
        op.execute(
            "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_analyze_scale_factor = 0.02)"
        )


def _parked_commands() -> None:
    op.create_table(
        "parked_commands",
        _position(),
        sa.Column("command_id", sa.String(128), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("waits_for", sa.String(16), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("parked_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("look_after", sa.Double, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("message", sa.Text),
        sa.CheckConstraint("waits_for IN ('session', 'start')", name="parked_commands_waits_for"),
        sqlite_autoincrement=True,
    )
    op.create_index("parked_commands_id", "parked_commands", ["command_id", "number"], unique=True)
    op.create_index("parked_commands_subject", "parked_commands", ["waits_for", "app", "subject"])
    op.create_index("parked_commands_due", "parked_commands", ["due_at"])


def _small_tables() -> None:
    op.create_table(
        "replays",
        sa.Column("barrier", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("next_position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.create_table("replica_sessions", sa.Column("owner", sa.String(64), primary_key=True))
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


def _archive_files() -> None:
    op.create_table(
        "archive_files",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("file_index", sa.Integer, primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("download_url", sa.Text),
        sa.Column("queued_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("urgent_at", sa.Double, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.Column("denials", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("copied", sa.Text),
        sa.Column("archived_at", sa.Double),
        sa.CheckConstraint(
            "state IN ('queued', 'archived', 'failed', 'external')", name="archive_files_state"
        ),
        sa.CheckConstraint("(state = 'queued') = (due_at IS NOT NULL)", name="archive_files_due"),
    )
    for name, columns, state in (
        ("archive_files_due", ["due_at"], "queued"),
        ("archive_files_urgent", ["urgent_at"], "queued"),
        ("archive_files_expiry", ["expires_at"], "queued"),
        ("archive_files_failed", ["queued_at"], "failed"),
        ("archive_files_archived", ["app", "archived_at"], "archived"),
        ("archive_files_external", ["app", "queued_at"], "external"),
    ):
        _index(name, "archive_files", columns, where=f"archive_files.state = '{state}'")


def _archive_recordings() -> None:
    op.create_table(
        "archive_recordings",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("participants", sa.Text),
        sa.Column("without_file", sa.Text),
        sa.Column("completed_at", sa.Double),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("manifest_due_at", sa.Double),
        sa.Column("owner", sa.String(64)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("manifest_url", sa.Text),
        sa.Column("manifest_at", sa.Double),
    )
    due = "archive_recordings.manifest_due_at IS NOT NULL"
    _index("archive_recordings_due", "archive_recordings", ["manifest_due_at"], where=due)
    op.create_table(
        "archive_timeline",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("status_time", sa.Text, nullable=False),
    )


def _position() -> sa.Column[int]:
    """A number that the database gives to each new row, and never gives again."""
    type_ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("position", type_, primary_key=True, autoincrement=True)


def _index(name: str, table: str, columns: list[str], *, where: str, unique: bool = False) -> None:
    """Create an index of the rows that the SQL condition `where` selects."""
    rows = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
