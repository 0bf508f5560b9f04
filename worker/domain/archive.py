"""The archive of a recording: the state of each file's copy, and the content of the manifest.

Pure values. The states of a file in the archive:

    queued ─▶ archived   its copy is in the user's storage and was compared with the sent bytes
        └───▶ failed     no URL of it works any more, or it is empty, too large or not allowed
    external             it is already in the customer's own storage: nothing is copied

`archive_recording` sets an archived or failed file back to `queued`.
"""

from datetime import datetime
from typing import Final, Literal

import msgspec

from recording_schemas import ErrorInfo, FileReady, ObservedBy, ParticipantWithoutFile, Status
from worker.domain.recording import Recording
from worker.domain.snapshot import Participant

REFUSALS_BEFORE_EVENT: Final = 5
"""After this many refusals of a file in a row, the storage's refusal is published as an event."""

ArchiveState = Literal["queued", "archived", "failed", "external"]


class CopiedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A copy in the user's storage. `sha256` has 64 hex digits. `duration_seconds` is None if
    the container does not state it."""

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
    """A status of a recording: when and from which source the worker learnt of it, and its
    details."""

    status: Status
    observed_at: datetime
    observed_by: ObservedBy
    invoked_time: datetime | None = None
    started_time: datetime | None = None
    stopped_time: datetime | None = None
    stop_reason: str | None = None
    error: ErrorInfo | None = None


class RecordingArchive(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a recording's manifest.

    `files` are in the order of their announcement, `timeline` in the order of the statuses.
    `participants` are all stays in the session, `without_file` the expected people who have no
    file; None if that is unknown.
    """

    recording: Recording
    files: tuple[ArchiveFile, ...] = ()
    timeline: tuple[StatusTime, ...] = ()
    participants: tuple[Participant, ...] | None = None
    without_file: tuple[ParticipantWithoutFile, ...] | None = None
