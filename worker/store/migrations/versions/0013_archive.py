"""The archive: the files to copy, and the data of the manifests.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

QUEUED = "archive_files.state = 'queued'"
FAILED = "archive_files.state = 'failed'"
ARCHIVED = "archive_files.state = 'archived'"
EXTERNAL = "archive_files.state = 'external'"
MANIFEST_DUE = "archive_recordings.manifest_due_at IS NOT NULL"


def upgrade() -> None:
    op.create_table(
        "archive_files",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("file_index", sa.Integer(), primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("download_url", sa.Text()),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double()),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("urgent_at", sa.Double(), nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("denials", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("copied", sa.Text()),
        sa.Column("archived_at", sa.Double()),
        sa.CheckConstraint(
            "state IN ('queued', 'archived', 'failed', 'external')", name="archive_files_state"
        ),
        sa.CheckConstraint("(state = 'queued') = (due_at IS NOT NULL)", name="archive_files_due"),
    )
    for name, columns, where in (
        ("archive_files_due", ("due_at",), QUEUED),
        ("archive_files_urgent", ("urgent_at",), QUEUED),
        ("archive_files_expiry", ("expires_at",), QUEUED),
        ("archive_files_failed", ("queued_at",), FAILED),
        ("archive_files_archived", ("app", "archived_at"), ARCHIVED),
        ("archive_files_external", ("app", "queued_at"), EXTERNAL),
    ):
        _partial_index(name, "archive_files", columns, where)
    op.create_table(
        "archive_recordings",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("participants", sa.Text()),
        sa.Column("without_file", sa.Text()),
        sa.Column("completed_at", sa.Double()),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("manifest_due_at", sa.Double()),
        sa.Column("owner", sa.String(64)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("manifest_url", sa.Text()),
        sa.Column("manifest_at", sa.Double()),
    )
    due = ("manifest_due_at",)
    _partial_index("archive_recordings_due", "archive_recordings", due, MANIFEST_DUE)
    op.create_table(
        "archive_timeline",
        sa.Column("recording_id", sa.String(128), primary_key=True),
        sa.Column("sequence", sa.Integer(), primary_key=True),
        sa.Column("status_time", sa.Text(), nullable=False),
    )


def _partial_index(name: str, table: str, columns: tuple[str, ...], where: str) -> None:
    op.create_index(
        name, table, list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def downgrade() -> None:
    op.drop_table("archive_timeline")
    op.drop_table("archive_recordings")
    op.drop_table("archive_files")
