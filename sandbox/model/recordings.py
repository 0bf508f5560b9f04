"""The life of recordings: start, record, pause, stop, upload, each at its moment."""

from collections.abc import Callable
from random import Random
from uuid import UUID

import msgspec

from sandbox.model import media
from sandbox.model.behaviour import LIVE, Behaviour, Status
from sandbox.model.clock import Clock
from sandbox.model.errors import Refusal
from sandbox.model.faults import Fault, Faults, LifecycleKind
from sandbox.model.files import TRACK_TEMPLATE, composite_file, track_files
from sandbox.model.log_entries import FileEntry, StartedEntry, TransitionEntry
from sandbox.model.meeting import MeetingEvent
from sandbox.model.meetings import Meetings
from sandbox.model.recording import Recording, RecordingKind, StartRequest, StatusChange
from sandbox.model.recording_index import RecordingIndex
from sandbox.model.request_log import RequestLog

_IN_PROGRESS: tuple[Status, ...] = ("RECORDING", "PAUSED")
_START_OPERATIONS: dict[RecordingKind, str] = {
    "track": "start_track_recording",
    "composite": "start_recording",
}


class Recordings:
    """What can be done to recordings, and what happens to them by itself. `index` has them all."""

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
        self._request_log = request_log
        self._random = Random(seed)
        self.index = RecordingIndex()
        self.listeners: list[Callable[[Recording], None]] = []
        meetings.listeners.append(self._on_meeting_event)

    def start(self, request: StartRequest) -> Recording:
        """Begin. Refusal when the meeting, its session or another recording stands in the way."""
        meeting = self._meetings.get(request.meeting_id)
        self._check_no_conflict(request)
        if request.kind == "track" and meeting.session is None:
            status = self._behaviour.no_session_status
            raise Refusal(status, "BAD_REQUEST: meeting has no active session")
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
        self._file_away(recording)
        self._take_fate(recording)
        return recording

    def stop(self, recording: Recording, *, reason: str | None = "API_CALL") -> None:
        """End the recording and upload it. Refusal when it is not recording (yet, any more)."""
        self._check_in_progress(recording, _IN_PROGRESS)
        now = self._clock.now()
        recording.stopped_at = now
        recording.stop_reason = reason
        recording.stop_caller = reason == "API_CALL"
        if recording.max_timer:
            recording.max_timer.cancel()
        self._enter(recording, "UPLOADING", reason)
        self._after(recording, self._behaviour.uploading_seconds, self._finish)

    def pause(self, recording: Recording) -> None:
        """Record nothing for a while. Refusal unless it is recording."""
        self._check_in_progress(recording, ("RECORDING",))
        if recording.max_timer:
            recording.max_timer.cancel()
        self._enter(recording, "PAUSED")

    def resume(self, recording: Recording) -> None:
        """Go on after a pause. Refusal unless it is paused."""
        self._check_in_progress(recording, ("PAUSED",))
        self._enter(recording, "RECORDING")
        self._limit_length(recording)

    def fail(self, recording: Recording, error: str) -> None:
        """End as ERRORED, with no file."""
        recording.error = error
        recording.stop_reason = recording.stop_reason or "INTERNAL_ERROR"
        recording.stopped_at = recording.stopped_at or self._clock.now()
        self._enter(recording, "ERRORED", error)

    def force(self, recording: Recording, status: Status) -> None:
        """Put it into any status at once; timers that were set for it no longer count."""
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
                self._enter(recording, status)
            case _:
                self._enter(recording, status)

    def vanish(self, recording: Recording) -> None:
        """From now on the API denies that it exists. It is on no list any more."""
        self.index.hide(recording)

    def _check_no_conflict(self, request: StartRequest) -> None:
        alike = [
            other
            for other in self.index.of_meeting(request.meeting_id)
            if other.live and other.request.kind == request.kind
        ]
        conflicts = self._behaviour.second_track_conflicts
        if request.kind == "composite":
            conflicts = not request.allow_multiple
        if alike and conflicts:
            text = "Cannot start recording: another recording is already in progress."
            raise Refusal(409, text)

    def _check_in_progress(self, recording: Recording, allowed: tuple[Status, ...]) -> None:
        if recording.status in allowed:
            return
        if recording.status in LIVE:
            raise Refusal(400, f"BAD_REQUEST: recording is not in progress ({recording.status})")
        raise Refusal(
            self._behaviour.ended_status, f"recording has already ended ({recording.status})"
        )

    def _file_away(self, recording: Recording) -> None:
        self.index.put(recording)
        self._request_log.add(
            StartedEntry(
                at=self._clock.now(),
                recording_id=recording.id,
                meeting_id=recording.request.meeting_id,
                session_id=recording.session.id if recording.session else None,
                app_id=recording.request.app_id,
                kind=recording.request.kind,
                user_ids=recording.request.user_ids,
            )
        )
        self._enter(recording, "INVOKED")

    def _take_fate(self, recording: Recording) -> None:
        if gone := self._fault(recording, "vanish"):
            when = self._clock.now() + (gone.seconds or 0.0)
            self._clock.at(when, lambda: self.vanish(recording))
        if self._fault(recording, "stuck_invoked"):
            return
        fails = self._fault(recording, "fails_to_start") is not None

        def begin(recording: Recording) -> None:
            if fails:
                self.fail(recording, "no recorder could be found")
            else:
                self._begin(recording)

        self._after(recording, self._behaviour.invoked_seconds, begin)

    def _begin(self, recording: Recording) -> None:
        recording.started_at = self._clock.now()
        self._enter(recording, "RECORDING")
        if recording.session is not None and recording.session.ended_at is not None:
            self.stop(recording, reason="ALL_PEERS_LEFT")
        else:
            self._limit_length(recording)
            if recording.session is None:
                self._stop_when_nobody_comes(recording)

    def _limit_length(self, recording: Recording) -> None:
        limit = recording.request.max_seconds
        if limit is None:
            return
        left = limit - recording.recorded_seconds(self._clock.now())
        # No reason in the API's list stands for a maximum that was reached.
        recording.max_timer = self._clock.at(
            self._clock.now() + max(0.0, left), lambda: self.stop(recording, reason=None)
        )

    def _stop_when_nobody_comes(self, recording: Recording) -> None:
        def give_up(recording: Recording) -> None:
            session = self._meetings.get(recording.request.meeting_id).session
            recording.session = session or recording.session
            if session is None and recording.status in _IN_PROGRESS:
                self.stop(recording, reason="ALL_PEERS_LEFT")

        self._after(recording, self._behaviour.empty_seconds, give_up)

    def _finish(self, recording: Recording) -> None:
        recorded = recording.recorded_seconds(recording.stopped_at or self._clock.now())
        too_short = recorded < self._behaviour.short_seconds
        request = recording.request
        if self._fault(recording, "fails_to_upload"):
            self.fail(recording, "the upload failed")
        elif self._behaviour.short_recordings_fail and too_short:
            self.fail(recording, "the recording was too short")
        elif not (request.bucket_enabled or request.storage or request.streams):
            self.fail(recording, "no storage was configured")
        else:
            self._upload(recording)

    def _upload(self, recording: Recording) -> None:
        now = self._clock.now()
        until = recording.stopped_at or now
        request = recording.request
        recording.uploaded_at = now
        if hidden := self._fault(recording, "no_files"):
            recording.files_available_at = (
                float("inf") if hidden.seconds is None else now + hidden.seconds
            )
        if request.kind == "track":
            recording.files = track_files(recording, until)
        elif request.bucket_enabled or request.storage:
            if request.video_suffix:
                file = composite_file(recording, request.video_suffix, until)
                recording.files = (file,)
                recording.file_size = len(media.content(file.name, file.seconds))
            if request.audio_suffix:
                recording.audio_file = composite_file(recording, request.audio_suffix, until)
        self._enter(recording, "UPLOADED")
        for file in recording.all_files:
            self._request_log.add(
                FileEntry(
                    at=now,
                    recording_id=recording.id,
                    meeting_id=request.meeting_id,
                    **msgspec.structs.asdict(file),
                )
            )

    def _enter(self, recording: Recording, status: Status, reason: str | None = None) -> None:
        previous = recording.status if recording.changes else None
        self.index.move(recording, status)
        recording.changes.append(StatusChange(self._clock.now(), status))
        self._request_log.add(
            TransitionEntry(
                at=self._clock.now(),
                recording_id=recording.id,
                meeting_id=recording.request.meeting_id,
                previous=previous,
                status=status,
                reason=reason,
            )
        )
        for follower in self.listeners:
            follower(recording)

    def _after(
        self, recording: Recording, seconds: float, action: Callable[[Recording], None]
    ) -> None:
        recording.timer = self._clock.at(self._clock.now() + seconds, lambda: action(recording))

    def _fault(self, recording: Recording, kind: LifecycleKind) -> Fault | None:
        return self._faults.trigger(
            {kind},
            operation=_START_OPERATIONS[recording.request.kind],
            meeting_id=recording.request.meeting_id,
            recording_id=recording.id,
        )

    def _on_meeting_event(self, event: MeetingEvent) -> None:
        if event.name != "meeting.ended":
            return
        empty_long_enough = event.reason == "ALL_PARTICIPANTS_LEFT"
        for recording in self.index.of_meeting(event.meeting.id):
            if recording.session is event.session and recording.status in _IN_PROGRESS:
                if recording.request.kind == "track" or empty_long_enough:
                    self.stop(recording, reason="ALL_PEERS_LEFT")
                else:
                    self._stop_when_nobody_comes(recording)


def _output_file_name(request: StartRequest, now: float) -> str:
    if request.kind == "track":
        return TRACK_TEMPLATE
    stem = f"{request.prefix or request.meeting_id}_{round(now * 1000)}"
    return f"{stem}.{request.video_suffix or request.audio_suffix}"
