"""One recording: what the sandbox knows of it. The timeline that moves it is in `recordings`."""

from typing import Literal

import msgspec

from sandbox.model.behaviour import LIVE, Status
from sandbox.model.clock import Timer
from sandbox.model.meeting import Session

RecordingKind = Literal["track", "composite"]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a recording. `seconds` is how much was recorded; owners only for tracks."""

    name: str
    seconds: float
    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None


class StartRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the start asked for, without any secret. Suffixes are those of a composite's files."""

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


class StatusChange(msgspec.Struct, frozen=True):
    """From `at` on the recording had this status."""

    at: float
    status: Status


class Recording(msgspec.Struct, kw_only=True):
    """Times are epoch seconds of sandbox time. `number` counts all recordings in their order."""

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
    vanished: bool = False
    timer: Timer | None = None
    max_timer: Timer | None = None

    @property
    def live(self) -> bool:
        """Not stopped yet."""
        return self.status in LIVE

    @property
    def all_files(self) -> tuple[File, ...]:
        """The files, a composite's separate sound included."""
        return self.files if self.audio_file is None else (*self.files, self.audio_file)

    def spans(self, until: float) -> list[tuple[float, float]]:
        """When it really recorded, up to `until`: from-to pairs with the pauses left out."""
        ends = [change.at for change in self.changes[1:]] + [until]
        pairs = zip(self.changes, ends, strict=True)
        return [
            (change.at, min(end, until))
            for change, end in pairs
            if change.status == "RECORDING" and change.at < until
        ]

    def recorded_seconds(self, until: float) -> float:
        """How much it recorded up to `until`, pauses not counted."""
        return sum(end - start for start, end in self.spans(until))

    def as_of(self, moment: float) -> "Recording":
        """How it looked then. Not for moments before it was invoked."""
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
