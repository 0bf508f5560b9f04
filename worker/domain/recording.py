"""The known state of a recording, and one observation of it. Pure values.

The life of a recording:

    INVOKED ─▶ RECORDING ⇄ PAUSED ─▶ UPLOADING ─▶ UPLOADED   files awaited, then completed
        └───────────┴──────────┴──────────┴─────▶ ERRORED    completed: a composite at once, tracks
                                                             when their participants are read

A status may be skipped, because the worker sees only some moments. Statuses never go back, except
between RECORDING and PAUSED. Nothing follows UPLOADED or ERRORED, with one exception: if the worker
itself ended the recording (`timed_out`), the API's later report follows.
"""

from datetime import datetime
from typing import Final, Literal, Self

import msgspec

from recording_schemas import (
    ArchiveEvent,
    Completed,
    ErrorInfo,
    FileReady,
    FileUrlRenewed,
    Kind,
    Media,
    ObservedBy,
    ParticipantWithoutFile,
    Status,
    StatusChanged,
)
from worker.domain.meeting_participants import People
from worker.domain.snapshot import Participant, RecordingSnapshot, Storage
from worker.domain.track_files import TrackFile

RANK: Final = {
    Status.INVOKED: 0,
    Status.RECORDING: 1,
    Status.PAUSED: 1,
    Status.UPLOADING: 2,
    Status.UPLOADED: 3,
    Status.ERRORED: 3,
}
"""The order of the statuses. A status may change only to a higher rank, or within rank 1."""

LIVE: Final = frozenset({Status.INVOKED, Status.RECORDING, Status.PAUSED, Status.UPLOADING})
"""The statuses of a recording that has not ended."""

ENDED: Final = frozenset(Status) - LIVE

STOPPABLE: Final = LIVE - {Status.UPLOADING}
"""The statuses of a recording that can still be stopped."""

STOPPED: Final = frozenset(Status) - STOPPABLE

STALLED: Final = "stalled"
"""The error code if the worker ended a recording because its status no longer changed."""

VANISHED: Final = "vanished"
"""The error code if the worker ended a recording because the API answered 404."""

RecordingEvent = StatusChanged | FileReady | FileUrlRenewed | Completed | ArchiveEvent
Completeness = Literal["whole", "lacking", "unknown"]
"""Whether a list of files has all that is expected. See `file_search`."""


class StartContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts that a recording inherits from its start command.

    correlation_id, trace, metadata
                      of the command's publisher; every event of the recording carries them
    file_name_prefix  helps to find the owners of files, as `user_ids` do
    user_ids          the participant ids that the API was asked to record, also those that the
                      command's `custom_participant_ids` were resolved to; empty: everybody
    custom_ids        the customer's own id of each of these participants, by participant id, as
                      far as it is known
    media             one for each file that the start of a composite asks for
    has_secrets       whether the start carried credentials, which are not stored; None: a former
                      version did not store it
    storage           the customer's own storage, if the start of a composite names it
    only_in_storage   RealtimeKit keeps no file, so `storage` has the only one
    max_seconds       the longest duration of a track recording
    """

    start_id: str
    correlation_id: str | None = None
    trace: dict[str, str] = {}
    file_name_prefix: str | None = None
    user_ids: tuple[str, ...] = ()
    custom_ids: dict[str, str] = {}
    media: tuple[Media, ...] = ()
    has_secrets: bool | None = None
    storage: Storage | None = None
    only_in_storage: bool = False
    max_seconds: int | None = None
    metadata: dict[str, str] | None = None

    def with_people(self, people: People) -> "StartContext":
        """The context of a start that asks for these people."""
        return msgspec.structs.replace(self, user_ids=people.user_ids, custom_ids=people.custom_ids)


class FileSearch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last observed list of files, while it is not known to be whole.

    `list_hash` identifies the list, `listed_since` is when it was first observed. `ended_at` is
    when the worker completed the recording nevertheless. `without_file` are the people who have no
    file in the list, None if unknown: the participants are not read again for the same list.
    """

    list_hash: str
    listed_since: datetime
    completeness: Completeness
    ended_at: datetime | None = None
    without_file: tuple[ParticipantWithoutFile, ...] | None = None


STORED_AS: Final = {
    "start": "origin",
    "timed_out": "concluded",
    "timed_out_from": "concluded_from",
}
"""Field names in the JSON of stored recordings. Existing databases depend on them."""


class Recording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=STORED_AS):
    """Everything that the worker knows about one recording. Times are aware, durations in seconds.

    version              counts the changes
    sequence             counts the events
    kind_is_guessed      only the look of its file name shows the kind; another program started it
    timed_out            the status is an ERRORED that the worker itself set
    timed_out_from       the status before that
    missing_since        the first 404 in a row; None if the API has the recording
    files_awaited_since  set while the worker looks for the files of an UPLOADED recording, or for
                         the participants of an ERRORED track recording, who have no file
    file_search          set while its list of files is not known to be whole
    file_count           counts the files that were announced
    completed            a completion was announced, and covers all of these files
    surplus_of           the start that led to this recording in addition to its own one: it is
                         stopped at once
    cancelled_by         the stop that cancelled its start while it was unknown whether the API had
                         executed that start: it is stopped at once, too
    unknown_status       set while the API reports a status that is not documented; `status` is
                         then the last one that is
    stop_at              when the worker stops it because its start limits its duration; see
                         `max_duration`
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
    file_search: FileSearch | None = None
    file_count: int = 0
    completed: bool = False
    kind_is_guessed: bool = False
    surplus_of: str | None = None
    cancelled_by: str | None = None
    unknown_status: str | None = None
    stop_at: datetime | None = None

    @property
    def start_id(self) -> str | None:
        """The id of the start command, None if another program started the recording."""
        return self.start.start_id if self.start else None

    @property
    def metadata(self) -> dict[str, str] | None:
        """The metadata of the start command, None if it has none."""
        return self.start.metadata if self.start else None

    @property
    def trace(self) -> dict[str, str]:
        """The trace of the start command, empty if it has none."""
        return self.start.trace if self.start else {}

    def with_kind(self, snapshot: RecordingSnapshot) -> "Recording":
        """The recording with the kind that the snapshot shows, as long as its own is guessed."""
        if not self.kind_is_guessed or snapshot.kind is None or snapshot.kind_is_guessed:
            return self
        return msgspec.structs.replace(self, kind=snapshot.kind, kind_is_guessed=False)

    @property
    def is_to_be_stopped(self) -> bool:
        """Whether no command needs it and it is not stopped yet."""
        return self.is_unwanted and self.status in STOPPABLE

    @property
    def is_unwanted(self) -> bool:
        """Whether it is a surplus recording, or a stop cancelled its start."""
        return self.surplus_of is not None or self.cancelled_by is not None

    @property
    def is_open(self) -> bool:
        """Whether the worker still tracks it: it has not ended, or its files are awaited."""
        return self.status in LIVE or self.files_awaited_since is not None


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The API's description of one recording, its source, and the time of the request.

    start           the start command that made the recording, if the observation is by that start
    surplus_of      the start that made the recording, if that start has another recording
    cancelled_by    the stop that cancelled the start
    files           all files that the API lists, with their owners; None if they were not read. For
                    an ERRORED track recording () means that its participants were read: its list of
                    files is not looked at.
    listed_hash     the hash of the API's list, if the files have other names here; see
                    `file_search`
    completeness    whether `files` are all that are expected
    without_file    the people who have no file; None if unknown
    participants    who was in the session; None if unknown
    files_final     the worker waits for no more files
    timeout_error   set if the worker itself ends the recording
    missing         the API answered 404: the snapshot repeats what was known
    renews_urls     a command asked for URLs of its files, so new URLs cause events
    archives_again  its files are to be copied to the archive, also those that were copied before
    awaits_start    an unfinished start may have begun it. If the store does not have the recording,
                    it is adopted when that start has ended.
    read_again_at   when to read the recording by itself again; with None, `read_policy` decides
    """

    snapshot: RecordingSnapshot
    observed_by: ObservedBy
    asked_at: datetime
    observed_at: datetime
    app: str = "default"
    start: StartContext | None = None
    surplus_of: str | None = None
    cancelled_by: str | None = None
    files: tuple[TrackFile, ...] | None = None
    listed_hash: str | None = None
    completeness: Completeness = "whole"
    without_file: tuple[ParticipantWithoutFile, ...] | None = None
    participants: tuple[Participant, ...] | None = None
    files_final: bool = False
    timeout_error: ErrorInfo | None = None
    missing: bool = False
    renews_urls: bool = False
    archives_again: bool = False
    awaits_start: bool = False
    read_again_at: datetime | None = None

    @classmethod
    def by_sweep(
        cls,
        snapshot: RecordingSnapshot,
        asked_at: datetime,
        observed_at: datetime,
        app: str,
        *,
        missing: bool = False,
    ) -> Self:
        """What tracking learned from a list, a read, or one of its calls."""
        return cls(
            snapshot=snapshot,
            observed_by="sweep",
            asked_at=asked_at,
            observed_at=observed_at,
            app=app,
            missing=missing,
        )
