"""The archive of a recording: the state of each file's copy, and what the manifest is made of. Pure
values.

The life of a file in the archive:

    queued ─▶ archived   its copy is in the user's storage and was compared with what was sent
        └───▶ failed     no URL of it works any more, or it is empty, too large or not allowed
    external             it already lies in the customer's own storage: nothing is copied

`archive_recording` brings an archived or failed file back to `queued`.
"""

from datetime import datetime
from typing import Final, Literal

import msgspec

from recording_schemas import ErrorInfo, FileReady, ParticipantWithoutFile, Status
from worker.domain.recording import ObservedBy, Recording
from worker.domain.snapshot import Participant

REFUSALS_TOLD: Final = 5
"""When the storage has refused a file so often in a row, an event says so."""

ArchiveState = Literal["queued", "archived", "failed", "external"]


class CopiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A copy in the user's storage. `sha256` has 64 hex digits. `duration_seconds` is None if the
    container does not tell it."""

    archive_url: str
    size_bytes: int
    sha256: str
    content_type: str
    duration_seconds: float | None = None


class ArchiveFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a recording, and its copy.

    `file` is the file as it was published, without its URL. Times are seconds since the epoch.
    `due_at` is when the next attempt is due, `expires_at` when the URL expires; both are None if
    the file is not queued. `archived` and `archived_at` are those of the last copy, also while the
    file is queued once more; None if there never was one.
    """

    recording_id: str
    file_index: int
    app: str
    state: ArchiveState
    file: FileReady
    queued_at: float
    due_at: float | None = None
    expires_at: float | None = None
    attempts: int = 0
    last_error: ErrorInfo | None = None
    archived: CopiedFile | None = None
    archived_at: float | None = None


class StatusTime(msgspec.Struct, frozen=True, kw_only=True):
    """A status of a recording: when the worker learnt of it, from where, and what was known."""

    status: Status
    observed_at: datetime
    observed_by: ObservedBy
    invoked_time: datetime | None = None
    started_time: datetime | None = None
    stopped_time: datetime | None = None
    stop_reason: str | None = None
    error: ErrorInfo | None = None


class RecordingArchive(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the manifest of a recording is made of.

    `files` are in the order of their announcement, `timeline` in the order of the statuses.
    `participants` are all stays in the session, `without_file` the expected people who have no
    file; None if nobody knows.
    """

    recording: Recording
    files: tuple[ArchiveFile, ...] = ()
    timeline: tuple[StatusTime, ...] = ()
    participants: tuple[Participant, ...] | None = None
    without_file: tuple[ParticipantWithoutFile, ...] | None = None
