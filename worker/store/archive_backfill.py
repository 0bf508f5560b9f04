"""Queues files that were announced while no archive was on, from the events in the outbox.

These files were announced before the archive was switched on, or by a replica without the setting.
Such a replica may also complete a recording whose files are already queued: then the completion is
noted.

Three functions keep each transaction short. `find_unqueued` reads a page of announced files by the
expiry of their URLs. `find_unqueued_of` reads a page of recordings with files whose URLs have no
expiry, or that are in the customer's own storage. `queue_announced` queues the files of a few
recordings.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from recording_schemas import CloudEvent, FileReady, FileUrlRenewed
from worker.domain.url_renewals import PublishedUrl, url_hash
from worker.store.announced_files import AnnouncedFiles
from worker.store.archive_history import kept_events
from worker.store.archive_intake import note_earlier_events
from worker.store.database.archive_schema import archive_files, archive_recordings
from worker.store.database.dialects import among
from worker.store.database.schema import HAS_URL, files, recordings
from worker.store.recording_rows import RecordingRow, load_rows

MAX_FILES: Final = 200
"""One step reads at most this many announced files, or recordings."""

MAX_KEYS: Final = 2_000
"""One step skips at most this many announced files that were read before."""

MAX_RECORDINGS: Final = 5
"""One transaction queues the files of at most this many recordings."""


class FileCursor(NamedTuple):
    """A position in the announced files, in the order of the expiry of their URLs.

    Files that were found before `found_after` are skipped.
    """

    expires_at: float
    recording_id: str = ""
    file_index: int = 0
    found_after: float = 0.0


class RecordingCursor(NamedTuple):
    """A position in the recordings, in the order of their last change of status."""

    changed_at: float
    recording_id: str = ""


class UnqueuedPage(msgspec.Struct, frozen=True):
    """A page of recordings, and where the next page begins, None after the last one. They have
    announced files that are not queued, or the archive does not know that they are complete."""

    recording_ids: tuple[str, ...]
    next: FileCursor | RecordingCursor | None


class BackfillRequest(msgspec.Struct, frozen=True):
    """Asks to queue the files of these recordings, at `now`, in seconds since the epoch."""

    recording_ids: tuple[str, ...]
    now: float


class BackfillResult(msgspec.Struct, frozen=True):
    """How many files were queued, and the recordings with files whose events are not kept."""

    queued: int
    unknown: tuple[str, ...]


def find_unqueued(connection: sa.Connection, after: FileCursor) -> UnqueuedPage:
    """Read the next announced files that have a URL."""
    limit = MAX_KEYS if after.found_after else MAX_FILES
    rows = connection.execute(_ANNOUNCED, {**after._asdict(), "limit": limit}).all()
    keys = [(row.recording_id, row.file_index) for row in rows if row.found_at >= after.found_after]
    last = FileCursor(*rows[-1][:3], after.found_after) if len(rows) == limit else None
    return UnqueuedPage(_missing(connection, keys), last)


def find_unqueued_of(connection: sa.Connection, after: RecordingCursor) -> UnqueuedPage:
    """Read the next recordings, for announced files whose URLs have no expiry."""
    page = [RecordingCursor(*row) for row in connection.execute(_CHANGED, after._asdict())]
    ids = [recording.recording_id for recording in page]
    keys = [tuple(row) for row in connection.execute(_WITHOUT_EXPIRY, {"ids": ids})]
    return UnqueuedPage(_missing(connection, keys), page[-1] if len(page) == MAX_FILES else None)


def _missing(connection: sa.Connection, keys: Sequence[tuple[str, int]]) -> tuple[str, ...]:
    """The recordings whose file was never queued, or whose completion the archive does not know.
    `keys` are recording ids with file numbers."""
    ids = sorted({recording_id for recording_id, _ in keys})
    if not ids:
        return ()
    known = {tuple(row) for row in connection.execute(_QUEUED_EVER, {"ids": ids})}
    complete = set(connection.execute(_COMPLETE, {"ids": ids}).scalars())
    missing = {key[0] for key in keys if key[0] not in complete or key not in known}
    return tuple(sorted(missing))


_KEY: Final = (files.c.url_expires_at, files.c.recording_id, files.c.file_index)
_ANNOUNCED: Final = (
    sa.select(*_KEY, files.c.found_at)
    .where(
        HAS_URL,
        files.c.url_expires_at >= sa.bindparam("expires_at"),
        sa.tuple_(*_KEY)
        > sa.tuple_(
            sa.bindparam("expires_at"), sa.bindparam("recording_id"), sa.bindparam("file_index")
        ),
    )
    .order_by(*_KEY)
    .limit(sa.bindparam("limit"))
)
_RECORDING: Final = (recordings.c.changed_at, recordings.c.recording_id)
_CHANGED: Final = (
    sa.select(*_RECORDING)
    .where(
        recordings.c.changed_at >= sa.bindparam("changed_at"),
        sa.tuple_(*_RECORDING)
        > sa.tuple_(sa.bindparam("changed_at"), sa.bindparam("recording_id")),
    )
    .order_by(*_RECORDING)
    .limit(MAX_FILES)
)
_WITHOUT_EXPIRY: Final = sa.select(files.c.recording_id, files.c.file_index).where(
    among(files.c.recording_id, "ids"), files.c.url_expires_at.is_(None)
)
_QUEUED_EVER: Final = sa.select(archive_files.c.recording_id, archive_files.c.file_index).where(
    among(archive_files.c.recording_id, "ids")
)


_COMPLETE: Final = sa.select(archive_recordings.c.recording_id).where(
    among(archive_recordings.c.recording_id, "ids"), archive_recordings.c.completed_at.is_not(None)
)


def _is_complete(connection: sa.Connection, recording_id: str) -> bool:
    """Whether the archive knows that the recording is complete, so that a manifest follows."""
    return connection.execute(_COMPLETE, {"ids": [recording_id]}).first() is not None


def queue_announced(connection: sa.Connection, request: BackfillRequest) -> BackfillResult:
    """Queue the announced files of recordings that the archive does not know, and note which of
    the recordings are complete."""
    queued, unknown = 0, list[str]()
    rows = load_rows(connection, request.recording_ids)
    announced = AnnouncedFiles(connection, rows.keys())
    for recording_id, row in rows.items():
        new, missing = _queue_files(connection, row, announced, request.now)
        queued += new
        unknown += [recording_id] if new < missing else []
    return BackfillResult(queued, tuple(unknown))


def _queue_files(
    connection: sa.Connection, row: RecordingRow, announced: AnnouncedFiles, now: float
) -> tuple[int, int]:
    """Queue the files of one recording. Returns how many, and how many were missing."""
    recording_id = row.recording.recording_id
    names, urls = announced.known(recording_id)
    known = {index for _, index in connection.execute(_QUEUED_EVER, {"ids": [recording_id]})}
    missing = [name for index, name in enumerate(names, start=1) if index not in known]
    events = list(kept_events(connection, recording_id, row.event_positions))
    found = _newest_files(events)
    new = [found[name] for name in missing if name in found and _is_last(found[name], urls[name])]
    if new or (known and row.recording.completed and not _is_complete(connection, recording_id)):
        note_earlier_events(connection, row.recording, new, events, now)
    return len(new), len(missing)


def _newest_files(events: Sequence[CloudEvent]) -> dict[str, FileReady]:
    """The files by name, each as its newest event has it."""
    return {
        event.data.file_name: msgspec.convert(event.data, FileReady, from_attributes=True)
        for event in events
        if isinstance(event.data, FileReady | FileUrlRenewed)
    }


def _is_last(file: FileReady, published: PublishedUrl) -> bool:
    """Whether the event has the URL that was published last."""
    return url_hash(file.download_url) == published.url_hash
