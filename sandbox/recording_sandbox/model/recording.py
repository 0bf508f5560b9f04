"""Values of recordings. `recordings` changes them in the course of time."""

from typing import Literal

import msgspec

from recording_sandbox.model.behaviour import LIVE, Status
from recording_sandbox.model.clock import Timer
from recording_sandbox.model.meeting import Session

RecordingKind = Literal["track", "composite"]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a recording, `seconds` long. Only files of tracks have an owner.

    `size_bytes` is the size it is padded to. `live` WebM states no duration.
    """

    name: str
    seconds: float
    size_bytes: int | None = None
    live: bool = False
    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request that started a recording, without secrets. Suffixes are of composite files."""

    kind: RecordingKind
    app_id: str
    meeting_id: str
    prefix: str | None = None
    user_ids: tuple[str, ...] | None = None
    max_seconds: int | None = None
    allow_multiple: bool = False
    video_suffix: str | None = "mp4"
    audio_suffix: str | None = "aac"
    bucket_enabled: bool = True
    storage: dict[str, object] | None = None
    streams: bool = False
    reason: Literal["API_CALL", "RECORD_ON_START"] = "API_CALL"
    caller: Literal["ORGANIZATION", "USER"] = "ORGANIZATION"


class StatusChange(msgspec.Struct, frozen=True):
    """The status that a recording has had since `at`."""

    at: float
    status: Status


class Recording(msgspec.Struct, kw_only=True):
    """One recording. Times are epoch seconds of sandbox time.

    `number` counts recordings in the order of their start, from 0. URLs that expire before
    `oldest_expiry` are revoked.
    """

    id: str
    number: int
    request: StartRequest
    status: Status
    invoked_at: float
    output_file_name: str
    session: Session | None = None
    changes: list[StatusChange] = []
    started_at: float | None = None
    stopped_at: float | None = None
    uploaded_at: float | None = None
    stop_reason: str | None = None
    stop_caller: bool = False
    error: str | None = None
    files: tuple[File, ...] = ()
    audio_file: File | None = None
    file_size: int | None = None
    files_available_at: float = 0.0
    seconds_between_files: float = 0.0
    urls_available_at: float = 0.0
    audio_available_at: float = 0.0
    oldest_expiry: int = 0
    vanished: bool = False
    timer: Timer | None = None
    max_timer: Timer | None = None

    @property
    def live(self) -> bool:
        """Whether it has not been stopped."""
        return self.status in LIVE

    @property
    def all_files(self) -> tuple[File, ...]:
        """The files, including the separate audio file of a composite."""
        return self.files if self.audio_file is None else (*self.files, self.audio_file)

    def track_files_at(self, moment: float) -> tuple[File, ...]:
        """The files that are listed: the first at the upload, the others one by one."""
        if self.uploaded_at is None:
            return ()
        seconds = moment - self.uploaded_at
        return tuple(
            file
            for number, file in enumerate(self.files)
            if number == 0 or number * self.seconds_between_files <= seconds
        )

    def spans(self, until: float) -> list[tuple[float, float]]:
        """Start and end of each period in which it recorded, up to `until`."""
        ends = [change.at for change in self.changes[1:]] + [until]
        pairs = zip(self.changes, ends, strict=True)
        return [
            (change.at, min(end, until))
            for change, end in pairs
            if change.status == "RECORDING" and change.at < until
        ]

    def recorded_seconds(self, until: float) -> float:
        """The seconds recorded up to `until`, without pauses."""
        return sum(end - start for start, end in self.spans(until))

    def as_of(self, moment: float) -> "Recording":
        """The recording as it was at `moment`, which must be `invoked_at` or later."""
        past = [change for change in self.changes if change.at <= moment]
        if len(past) == len(self.changes):
            return self
        stopped = self.stopped_at is not None and self.stopped_at <= moment
        return msgspec.structs.replace(
            self,
            status=past[-1].status,
            changes=past,
            started_at=self.started_at if self.started_at and self.started_at <= moment else None,
            stopped_at=self.stopped_at if stopped else None,
            stop_reason=self.stop_reason if stopped else None,
            uploaded_at=None,
            error=None,
            files=(),
            audio_file=None,
        )
