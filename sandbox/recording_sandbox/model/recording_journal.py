"""Keeps recordings and each of their status changes, logs them, and notifies listeners."""

from collections.abc import Callable

from recording_sandbox.model.behaviour import Status
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.log_entries import FileEntry, StartedEntry, TransitionEntry
from recording_sandbox.model.recording import Recording, StatusChange
from recording_sandbox.model.recording_index import RecordingIndex
from recording_sandbox.model.request_log import RequestLog


class RecordingJournal:
    """The only place that changes a status. `listeners` are called after each change."""

    def __init__(self, clock: Clock, index: RecordingIndex, request_log: RequestLog) -> None:
        self._clock = clock
        self._index = index
        self._request_log = request_log
        self.listeners: list[Callable[[Recording], None]] = []

    def start(self, recording: Recording) -> None:
        """Add a new recording, with the status INVOKED."""
        self._index.put(recording)
        request = recording.request
        self._request_log.add(
            StartedEntry(
                at=self._clock.now(),
                recording_id=recording.id,
                meeting_id=request.meeting_id,
                session_id=recording.session.id if recording.session else None,
                app_id=request.app_id,
                kind=request.kind,
                user_ids=request.user_ids,
            )
        )
        self.change_status(recording, "INVOKED")

    def change_status(
        self, recording: Recording, status: Status, reason: str | None = None
    ) -> None:
        """Set the status now, and log it with the reason."""
        previous = recording.status if recording.changes else None
        self._index.move(recording, status)
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
        for listener in self.listeners:
            listener(recording)

    def log_files(self, recording: Recording) -> None:
        """Log the files that the recording has now."""
        for file in recording.all_files:
            self._request_log.add(
                FileEntry(
                    at=self._clock.now(),
                    recording_id=recording.id,
                    meeting_id=recording.request.meeting_id,
                    name=file.name,
                    seconds=file.seconds,
                    user_id=file.user_id,
                    peer_id=file.peer_id,
                    custom_participant_id=file.custom_participant_id,
                )
            )
