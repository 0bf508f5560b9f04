"""Shows entries of the archive: as rows of a table, or as JSON."""

from typing import Final

from worker.cli.output import Column, Row
from worker.cli.times import iso_time, rounded_duration
from worker.store.admin.archived_files import ArchiveEntry

COLUMNS: Final = (
    Column("recording", "recording_id", "id"),
    Column("file", "shown_file", "file"),
    Column("state", "state"),
    Column("bytes", "size_bytes"),
    Column("url expires", "url_expires_at", "time"),
    Column("attempts", "attempts", wide=True),
    Column("why", "shown_why"),
    Column("error", "error_text", wide=True),
)


def entry_json(entry: ArchiveEntry, now: float) -> Row:
    """The fields of one JSON line. A manifest has no `file_name`."""
    file, copied = entry.file, entry.copied
    return {
        "recording_id": entry.recording_id,
        "app": entry.app,
        "kind": file.kind if file else None,
        "file_name": file.file_name if file else None,
        "file_index": entry.file_index,
        "user_id": file.user_id if file else None,
        "custom_participant_id": file.custom_participant_id if file else None,
        "state": entry.state,
        "why": why(entry, now),
        "archive_url": copied.archive_url if copied else entry.manifest_url,
        "size_bytes": copied.size_bytes if copied else None,
        "sha256": copied.sha256 if copied else None,
        "content_type": copied.content_type if copied else None,
        "duration_seconds": copied.duration_seconds if copied else None,
        "archived_at": iso_time(entry.archived_at),
        "queued_at": iso_time(entry.queued_at),
        "next_attempt_at": None if entry.is_taken else iso_time(entry.due_at),
        "download_url_expiry": iso_time(entry.url_expires_at),
        "attempts": entry.attempts,
        "error": entry.last_error,
    }


def entry_row(entry: ArchiveEntry, now: float) -> Row:
    """The fields of one row of the table."""
    return {
        **entry_json(entry, now),
        "shown_file": _shown_file(entry),
        "url_expires_at": entry.url_expires_at,
        "shown_why": _why(entry, now, entry.last_error.code if entry.last_error else None),
        "error_text": entry.last_error.message if entry.last_error else None,
    }


def _shown_file(entry: ArchiveEntry) -> str:
    if entry.file:
        return entry.file.file_name
    return "(manifest)" if entry.file_index is None else f"(file {entry.file_index})"


def why(entry: ArchiveEntry, now: float) -> str | None:
    """Why the file waits or failed. None if it does neither."""
    error = f"{entry.last_error.code}: {entry.last_error.message}" if entry.last_error else None
    return _why(entry, now, error)


def _why(entry: ArchiveEntry, now: float, error: str | None) -> str | None:
    if entry.state == "external":
        return "it is in your own storage"
    if entry.state != "queued":
        return error
    if entry.is_taken:
        return "a worker is copying or writing it" + (f"; before: {error}" if error else "")
    pause = (entry.due_at or now) - now
    next_attempt = f"in {rounded_duration(pause)}" if pause > 0 else "now"
    if error is None and entry.file is not None and not entry.has_url:
        return f"it has no download URL yet; next attempt {next_attempt}"
    return f"{error}; next attempt {next_attempt}" if error else f"next attempt {next_attempt}"
