"""The tables of the archive. Only a worker whose archive is on writes them.

`archive_files` has a row for each file of a recording. Its states (`worker/domain/archive.py`):

                         archived, give_up
    queued ──────────────────────────────────────▶ archived, failed
      │  ▲                                              │
      └──┘ take, retry: `due_at` moves on               │ archive_recording
      ▲─────────────────────────────────────────────────┘

A queued file whose `due_at` has passed may be taken by any replica. To take it is to move `due_at`
to the end of the lease and to write `owner`. So a file whose owner died is due again by itself.
"""

import sqlalchemy as sa

from worker.store.database.schema import metadata

archive_files = sa.Table(
    "archive_files",
    metadata,
    sa.Column("recording_id", sa.String(128), primary_key=True),
    sa.Column("file_index", sa.Integer, primary_key=True),
    sa.Column("app", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # JSON of the `file_ready` event, without the URL.
    sa.Column("file", sa.Text, nullable=False),
    # The URL permits the download, so it is kept only while the file is queued.
    sa.Column("download_url", sa.Text),
    sa.Column("queued_at", sa.Double, nullable=False),
    # The next attempt or the end of the owner's lease; null if the file is not queued.
    sa.Column("due_at", sa.Double),
    # When the URL expires, and from when on the file is urgent.
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("urgent_at", sa.Double, nullable=False),
    sa.Column("owner", sa.String(64)),
    # Counts how often the file was queued: `archive_recording` begins a new round. A copy of an
    # earlier round is announced, and the file is copied once more.
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # How often in a row the storage refused it.
    sa.Column("refusals", sa.Integer, nullable=False),
    # How often in a row its source denied it, each time with another URL; or how often in a row it
    # gave the same doubtful answer (`worker/archive/denials.py`).
    sa.Column("denials", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    # JSON of a `CopiedFile`: the last copy.
    sa.Column("copied", sa.Text),
    sa.Column("archived_at", sa.Double),
    sa.CheckConstraint(
        "state IN ('queued', 'archived', 'failed', 'external')", name="archive_files_state"
    ),
    sa.CheckConstraint("(state = 'queued') = (due_at IS NOT NULL)", name="archive_files_due"),
)
QUEUED = sa.text("archive_files.state = 'queued'")
FAILED = sa.text("archive_files.state = 'failed'")
ARCHIVED = sa.text("archive_files.state = 'archived'")
EXTERNAL = sa.text("archive_files.state = 'external'")
_APP = archive_files.c.app
for _name, _columns, _where in (
    ("archive_files_due", (archive_files.c.due_at,), QUEUED),
    ("archive_files_urgent", (archive_files.c.urgent_at,), QUEUED),
    ("archive_files_expiry", (archive_files.c.expires_at,), QUEUED),
    ("archive_files_failed", (archive_files.c.queued_at,), FAILED),
    # For lists of the latest ones of each app.
    ("archive_files_archived", (_APP, archive_files.c.archived_at), ARCHIVED),
    ("archive_files_external", (_APP, archive_files.c.queued_at), EXTERNAL),
):
    sa.Index(_name, *_columns, sqlite_where=_where, postgresql_where=_where)

# The data of the manifest besides the files. `changes` counts additions: a manifest that was
# composed before the last addition is written once more.
archive_recordings = sa.Table(
    "archive_recordings",
    metadata,
    sa.Column("recording_id", sa.String(128), primary_key=True),
    sa.Column("app", sa.String(64), nullable=False),
    # JSON: every stay in the session, and the expected people who have no file.
    sa.Column("participants", sa.Text),
    sa.Column("without_file", sa.Text),
    sa.Column("completed_at", sa.Double),
    sa.Column("changes", sa.Integer, nullable=False),
    # When the manifest must be written, or the end of its owner's lease; null: it is up to date.
    sa.Column("manifest_due_at", sa.Double),
    sa.Column("owner", sa.String(64)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Column("manifest_url", sa.Text),
    sa.Column("manifest_at", sa.Double),
)
MANIFEST_DUE = sa.text("archive_recordings.manifest_due_at IS NOT NULL")
# The error of the last attempt to write it.
MANIFEST_REFUSED = sa.func.coalesce(
    archive_recordings.c.last_error.like('{"code":"storage_refused"%'), sa.false()
)
sa.Index(
    "archive_recordings_due",
    archive_recordings.c.manifest_due_at,
    sqlite_where=MANIFEST_DUE,
    postgresql_where=MANIFEST_DUE,
)

# Each status of a recording in its order, as JSON of a `StatusTime`. `sequence` is the number of
# its event.
archive_timeline = sa.Table(
    "archive_timeline",
    metadata,
    sa.Column("recording_id", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("status_time", sa.Text, nullable=False),
)
