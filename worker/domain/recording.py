"""What is known of a recording, and what a sight of it tells: values, nothing else."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from recording_schemas import (
    Completed,
    ErrorInfo,
    FileReady,
    Kind,
    Status,
    StatusChanged,
)
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile

RANK: Final = {
    Status.INVOKED: 0,
    Status.RECORDING: 1,
    Status.PAUSED: 1,
    Status.UPLOADING: 2,
    Status.UPLOADED: 3,
    Status.ERRORED: 3,
}
LIVE: Final = frozenset({Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING})
"""Statuses that something still follows."""

STALLED: Final = "stalled"
"""The code of an error that the worker concludes from a recording that no longer moves on."""

VANISHED: Final = "vanished"
"""The code of an error that the worker concludes from a recording that the API denies."""

ObservedBy = Literal["command", "webhook", "sweep"]
RecordingEvent = StatusChanged | FileReady | Completed


class StartContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording inherits from the command that started it."""

    start_id: str
    correlation_id: str | None = None
    trace: dict[str, str] = {}
    file_name_prefix: str | None = None
    user_ids: tuple[str, ...] = ()


STORED_AS: Final = {
    "start": "origin",
    "timed_out": "concluded",
    "timed_out_from": "concluded_from",
}
"""Field names in the JSON of stored recordings. Databases that exist depend on them."""


class Recording(msgspec.Struct, frozen=True, kw_only=True, rename=STORED_AS):
    """All that the worker knows of one recording. Times are aware, durations seconds.

    `version` counts the changes, `sequence` the events. `timeout_error` is true while an ERRORED is
    the worker's own conclusion, `timed_out_from` the status it had till then.
    `files_awaited_since` is set while an ended recording's files are still looked for,
    `missing_since` while the API denies the recording. `file_count` counts the files told of.
    """

    recording_id: str
    app: str
    kind: Kind
    status: Status
    version: int = 0
    sequence: int = 0
    start: StartContext | None = None
    meeting_id: str | None = None
    session_id: str | None = None
    invoked_time: datetime | None = None
    started_time: datetime | None = None
    stopped_time: datetime | None = None
    recording_duration: int | None = None
    output_file_name: str | None = None
    start_reason: str | None = None
    stop_reason: str | None = None
    error: ErrorInfo | None = None
    timed_out: bool = False
    timed_out_from: Status | None = None
    first_seen_at: datetime | None = None
    changed_at: datetime | None = None
    missing_since: datetime | None = None
    files_awaited_since: datetime | None = None
    file_count: int = 0
    completed: bool = False

    @property
    def start_id(self) -> str | None:
        """The id of the start command, None for a recording that others started."""
        return self.start.start_id if self.start else None

    @property
    def is_open(self) -> bool:
        """Whether it needs following: it has not ended, or its files are still looked for."""
        return self.status in LIVE or self.files_awaited_since is not None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What the API said about one recording, who noticed it, and when the API was asked.

    `files` is None if nobody looked for files, else all of them with their owners. `files_final`
    says that nobody will look for files again. `timeout_error` is set if the worker itself ends the
    recording. `missing` is set if the API answered 404: the snapshot then repeats what was known.
    `read_again_at` is when to read the recording by itself again; with None, `read_policy` decides.
    """

    snapshot: RecordingSnapshot
    observed_by: ObservedBy
    asked_at: datetime
    observed_at: datetime
    app: str = "default"
    start: StartContext | None = None
    files: tuple[TrackFile, ...] | None = None
    files_final: bool = False
    timeout_error: ErrorInfo | None = None
    missing: bool = False
    read_again_at: datetime | None = None
