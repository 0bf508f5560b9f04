"""The life of recordings: start, record, pause, stop, upload, each at its time."""

from collections.abc import Callable
from random import Random
from uuid import UUID

from recording_sandbox.model.behaviour import LIVE, Behaviour, Status
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.errors import Refusal
from recording_sandbox.model.faults import Fault, Faults, LifecycleKind, UploadKind
from recording_sandbox.model.file_content import file_content
from recording_sandbox.model.files import TRACK_TEMPLATE, composite_file, track_files
from recording_sandbox.model.meeting import MeetingEvent
from recording_sandbox.model.meetings import Meetings
from recording_sandbox.model.recording import Recording, RecordingKind, StartRequest
from recording_sandbox.model.recording_index import RecordingIndex
from recording_sandbox.model.recording_journal import RecordingJournal
from recording_sandbox.model.request_log import RequestLog

_IN_PROGRESS: tuple[Status, ...] = ("RECORDING", "PAUSED")
_START_OPERATIONS: dict[RecordingKind, str] = {
    "track": "start_track_recording",
    "composite": "start_recording",
}


class Recordings:
    """All recordings, with the actions on them and their changes in the course of time."""

    def __init__(
        self,
        clock: Clock,
        meetings: Meetings,
        behaviour: Behaviour,
        faults: Faults,
        request_log: RequestLog,
        *,
        seed: int | None = None,
    ) -> None:
        self._clock = clock
        self._meetings = meetings
        self._behaviour = behaviour
        self._faults = faults
        self._random = Random(seed)
        self.index = RecordingIndex()
        self._journal = RecordingJournal(clock, self.index, request_log)
        meetings.listeners.append(self._on_meeting_event)

    @property
    def listeners(self) -> list[Callable[[Recording], None]]:
        """Functions that are called after each status change."""
        return self._journal.listeners

    def start(self, request: StartRequest) -> Recording:
        """Start a recording. Raises Refusal if its meeting or another recording prevents it."""
        meeting = self._meetings.get(request.meeting_id)
        self._check_no_conflict(request)
        if request.kind == "track" and meeting.session is None:
            status = self._behaviour.no_session_status
            raise Refusal(status, "BAD_REQUEST: meeting has no active session")
        self._check_capacity()
        now = self._clock.now()
        recording = Recording(
            id=str(UUID(int=self._random.getrandbits(128), version=4)),
            number=len(self.index),
            request=request,
            status="INVOKED",
            invoked_at=now,
            output_file_name=_output_file_name(request, now),
            session=meeting.session,
        )
        self._journal.start(recording)
        self._schedule_start(recording)
        return recording

    def stop(self, recording: Recording, *, reason: str | None = "API_CALL") -> None:
        """Stop and upload the recording. Raises Refusal unless it is recording or paused."""
        self._check_status(recording, _IN_PROGRESS)
        now = self._clock.now()
        recording.stopped_at = now
        recording.stop_reason = reason
        recording.stop_caller = reason == "API_CALL"
        if recording.max_timer:
            recording.max_timer.cancel()
        self._journal.change_status(recording, "UPLOADING", reason)
        self._schedule(recording, self._behaviour.uploading_seconds, self._finish)

    def pause(self, recording: Recording) -> None:
        """Pause the recording. Raises Refusal unless it is recording."""
        self._check_status(recording, ("RECORDING",))
        if recording.max_timer:
            recording.max_timer.cancel()
        self._journal.change_status(recording, "PAUSED")

    def resume(self, recording: Recording) -> None:
        """Continue the recording. Raises Refusal unless it is paused."""
        self._check_status(recording, ("PAUSED",))
        self._journal.change_status(recording, "RECORDING")
        self._limit_length(recording)

    def fail(self, recording: Recording, error: str) -> None:
        """End the recording as ERRORED, without a file."""
        recording.error = error
        recording.stop_reason = recording.stop_reason or "INTERNAL_ERROR"
        recording.stopped_at = recording.stopped_at or self._clock.now()
        self._journal.change_status(recording, "ERRORED", error)

    def force(self, recording: Recording, status: Status) -> None:
        """Set any status at once. Changes that were scheduled for the recording are cancelled."""
        for timer in (recording.timer, recording.max_timer):
            if timer:
                timer.cancel()
        match status:
            case "ERRORED":
                self.fail(recording, "forced")
            case "UPLOADED":
                recording.stopped_at = recording.stopped_at or self._clock.now()
                self._upload(recording)
            case "RECORDING":
                recording.started_at = recording.started_at or self._clock.now()
                self._journal.change_status(recording, status)
            case _:
                self._journal.change_status(recording, status)

    def vanish(self, recording: Recording) -> None:
        """Hide the recording: from now on the API denies that it exists."""
        self.index.hide(recording)

    def _check_no_conflict(self, request: StartRequest) -> None:
        conflicts = self._behaviour.second_track_conflicts
        if request.kind == "composite":
            conflicts = not request.allow_multiple
        if conflicts and any(
            other.live and other.request.kind == request.kind
            for other in self.index.of_meeting(request.meeting_id)
        ):
            text = "Cannot start recording: another recording is already in progress."
            raise Refusal(409, text)

    def _check_capacity(self) -> None:
        limit = self._behaviour.max_recordings
        if limit is None:
            return
        if sum(recording.live for recording in self.index.all()) >= limit:
            text = "Maximum number of concurrent recordings reached"
            raise Refusal(self._behaviour.max_recordings_status, text)

    def _check_status(self, recording: Recording, allowed: tuple[Status, ...]) -> None:
        if recording.status in allowed:
            return
        if recording.status in LIVE:
            raise Refusal(400, f"BAD_REQUEST: recording is not in progress ({recording.status})")
        raise Refusal(
            self._behaviour.ended_status, f"recording has already ended ({recording.status})"
        )

    def _schedule_start(self, recording: Recording) -> None:
        """Schedule RECORDING, unless a fault has it vanish, get stuck or fail."""
        if vanish := self._trigger(recording, "vanish"):
            when = self._clock.now() + (vanish.seconds or 0.0)
            self._clock.at(when, lambda: self.vanish(recording))
        if self._trigger(recording, "stuck_invoked"):
            return
        fails = self._trigger(recording, "fails_to_start") is not None

        def begin(recording: Recording) -> None:
            if fails:
                self.fail(recording, "no recorder could be found")
            else:
                self._begin(recording)

        self._schedule(recording, self._behaviour.invoked_seconds, begin)

    def _begin(self, recording: Recording) -> None:
        recording.started_at = self._clock.now()
        self._journal.change_status(recording, "RECORDING")
        if recording.session is not None and recording.session.ended_at is not None:
            self.stop(recording, reason="ALL_PEERS_LEFT")
        else:
            self._limit_length(recording)
            if recording.session is None:
                self._stop_if_nobody_joins(recording)

    def _limit_length(self, recording: Recording) -> None:
        max_seconds = recording.request.max_seconds
        if max_seconds is None:
            return
        left = max_seconds - recording.recorded_seconds(self._clock.now())
        # The API has no reason for a recording that reached its maximum length.
        recording.max_timer = self._clock.at(
            self._clock.now() + max(0.0, left), lambda: self.stop(recording, reason=None)
        )

    def _stop_if_nobody_joins(self, recording: Recording) -> None:
        def give_up(recording: Recording) -> None:
            session = self._meetings.get(recording.request.meeting_id).session
            recording.session = session or recording.session
            if session is None and recording.status in _IN_PROGRESS:
                self.stop(recording, reason="ALL_PEERS_LEFT")

        self._schedule(recording, self._behaviour.empty_seconds, give_up)

    def _finish(self, recording: Recording) -> None:
        recorded = recording.recorded_seconds(recording.stopped_at or self._clock.now())
        too_short = recorded < self._behaviour.short_seconds
        request = recording.request
        if self._trigger(recording, "fails_to_upload"):
            self.fail(recording, "the upload failed")
        elif self._behaviour.short_recordings_fail and too_short:
            self.fail(recording, "the recording was too short")
        elif not (request.bucket_enabled or request.storage or request.streams):
            self.fail(recording, "no storage was configured")
        else:
            self._upload(recording)

    def _upload(self, recording: Recording) -> None:
        now = self._clock.now()
        recording.uploaded_at = now
        recording.files_available_at = now + self._delay(recording, "no_files")
        recording.seconds_between_files = self._delay(recording, "late_files")
        recording.urls_available_at = now + self._delay(recording, "late_urls")
        recording.audio_available_at = now + self._delay(recording, "late_audio")
        _make_files(recording, recording.stopped_at or now, self._behaviour)
        self._journal.change_status(recording, "UPLOADED")
        self._journal.log_files(recording)

    def _schedule(
        self, recording: Recording, seconds: float, action: Callable[[Recording], None]
    ) -> None:
        recording.timer = self._clock.at(self._clock.now() + seconds, lambda: action(recording))

    def _delay(self, recording: Recording, kind: UploadKind) -> float:
        """The seconds of a fault, infinite if it has none; 0 without the fault."""
        fault = self._trigger(recording, kind)
        if fault is None:
            return 0.0
        return float("inf") if fault.seconds is None else fault.seconds

    def _trigger(self, recording: Recording, kind: LifecycleKind) -> Fault | None:
        return self._faults.trigger(
            {kind},
            operation=_START_OPERATIONS[recording.request.kind],
            meeting_id=recording.request.meeting_id,
            recording_id=recording.id,
        )

    def _on_meeting_event(self, event: MeetingEvent) -> None:
        if event.name != "meeting.ended":
            return
        was_empty = event.reason == "ALL_PARTICIPANTS_LEFT"
        for recording in self.index.of_meeting(event.meeting.id):
            if recording.session is event.session and recording.status in _IN_PROGRESS:
                if recording.request.kind == "track" or was_empty:
                    self.stop(recording, reason="ALL_PEERS_LEFT")
                else:
                    self._stop_if_nobody_joins(recording)


def _output_file_name(request: StartRequest, now: float) -> str:
    if request.kind == "track":
        return TRACK_TEMPLATE
    stem = f"{request.prefix or request.meeting_id}_{round(now * 1000)}"
    return f"{stem}.{request.video_suffix or request.audio_suffix}"


def _make_files(recording: Recording, until: float, behaviour: Behaviour) -> None:
    request = recording.request
    if request.kind == "track":
        recording.files = track_files(recording, until, behaviour)
    elif request.bucket_enabled or request.storage:
        if request.video_suffix:
            file = composite_file(recording, request.video_suffix, until, behaviour)
            recording.files = (file,)
            recording.file_size = file_content(file).size
        if request.audio_suffix:
            recording.audio_file = composite_file(recording, request.audio_suffix, until, behaviour)
