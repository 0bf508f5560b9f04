"""Reads one recording from the API and interprets the answer, or a failure."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from recording_schemas import ErrorInfo, Status
from worker.domain.errors import NotFound, Refused, Unavailable
from worker.domain.file_search import has_settled
from worker.domain.read_policy import is_past_rechecks
from worker.domain.recording import LIVE, RANK, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeout_observations import (
    end_observation,
    give_up_observation,
    stalled_error,
    vanished_error,
)
from worker.domain.timeouts import (
    Timeouts,
    files_wait_is_over,
    is_confirmed_missing,
    is_overdue,
    should_give_up,
)
from worker.realtimekit.actions import POSSIBLE
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_recording, with_people
from worker.tracking.shown_files import ShownFiles


class RecordingReader:
    """Makes observations of one app's recordings, each by a GET, unless `shown_files` has it."""

    def __init__(
        self,
        api: RealtimeKitClient,
        timeouts: Timeouts,
        shown_files: ShownFiles,
        *,
        app: str,
        now: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._timeouts = timeouts
        self._shown_files = shown_files
        self._app = app
        self._now = now

    async def read(self, recording: Recording, asked_at: datetime) -> Observation:
        """GET the recording with its files. An overdue recording without progress is ended.

        Of a failed track recording only the participants are read. Raises ApiError if the answer
        proves nothing.
        """
        is_last_look = files_wait_is_over(recording, asked_at, self._timeouts)
        if _lacks_people(recording):
            unchanged = self._observe_unchanged(recording, asked_at)
            return await with_people(self._api, unchanged, recording, files_final=is_last_look)
        try:
            observation = await fetch_recording(
                self._api,
                recording.recording_id,
                recording,
                app=self._app,
                observed_by="sweep",
                now=self._now,
                files_final=is_last_look,
                shown=self._shown_files.take(recording.recording_id),
            )
        except NotFound:
            return await self._observe_not_found(recording, asked_at)
        if _lacks_files(recording, observation):
            raise Unavailable("files_unread", "the participants, who own the files, were not read")
        status = observation.snapshot.status
        is_unknown = observation.snapshot.unknown_status is not None
        may_stop = is_unknown or status in POSSIBLE["stop"]
        if recording.is_unwanted and may_stop:
            stopped = await self._stop_unwanted(recording)
            if stopped is not None:
                return stopped
        has_moved_on = RANK[status] > RANK[recording.status]
        if not has_moved_on and is_overdue(recording, self._now(), self._timeouts):
            return await self._end(recording, status, asked_at)
        if has_settled(recording, observation, self._timeouts.files_settle):
            return msgspec.structs.replace(observation, files_final=True)
        return observation

    def observe_failed_read(
        self, recording: Recording, asked_at: datetime, *, is_last_try: bool
    ) -> Observation | None:
        """The observation after a failed read. None if the read must be tried again."""
        now = self._now()
        is_over = recording.status is Status.ERRORED and files_wait_is_over(
            recording, now, self._timeouts
        )
        if is_over or should_give_up(recording, now, self._timeouts):
            return give_up_observation(recording, self._timeouts, asked_at=asked_at, now=now)
        if is_last_try and is_past_rechecks(recording, now):
            return self._observe_unchanged(recording, asked_at)
        return None

    async def _observe_not_found(self, recording: Recording, asked_at: datetime) -> Observation:
        """Handle 404 for a recording that existed.

        The first 404 proves nothing, because the API may lag behind. The API may also list such a
        recording forever, so an overdue recording ends earlier. An ended recording still has its
        whole wait for files.
        """
        now = self._now()
        is_gone = recording.status in LIVE and is_confirmed_missing(recording, now, self._timeouts)
        is_final = is_gone or files_wait_is_over(recording, now, self._timeouts)
        if recording.is_open and is_final:
            return await self._conclude(recording, vanished_error(recording), asked_at)
        if is_overdue(recording, now, self._timeouts):
            return await self._end(recording, recording.status, asked_at)
        return self._observe_unchanged(recording, asked_at, missing=True)

    async def _stop_unwanted(self, recording: Recording) -> Observation | None:
        """Stop a recording. None if the API refuses; then it is read again soon."""
        asked_at = self._now()
        try:
            snapshot = await self._api.control_recording(recording.recording_id, "stop")
        except Refused:
            return None
        return Observation.by_sweep(snapshot, asked_at, self._now(), self._app)

    async def _end(
        self, recording: Recording, api_status: Status, asked_at: datetime
    ) -> Observation:
        """End an overdue recording: stop it, so that it does not continue, else time it out.

        The worker never stops a recording of another service. Every answer of the API brings the
        recording closer to its end.
        """
        if recording.start is not None and api_status is not Status.UPLOADING:
            try:
                snapshot = await self._api.control_recording(recording.recording_id, "stop")
            except Refused:
                pass
            else:
                if RANK[snapshot.status] > RANK[recording.status]:
                    return Observation.by_sweep(snapshot, asked_at, self._now(), self._app)
        error = stalled_error(recording, self._timeouts, self._now())
        return await self._conclude(recording, error, asked_at)

    async def _conclude(
        self, recording: Recording, error: ErrorInfo | None, asked_at: datetime
    ) -> Observation:
        """End the recording. Its participants are read once, because the end does not wait."""
        end = end_observation(recording, error, asked_at=asked_at, now=self._now())
        return await with_people(self._api, end, recording, files_final=True)

    def _observe_unchanged(
        self, recording: Recording, asked_at: datetime, *, missing: bool = False
    ) -> Observation:
        snapshot = RecordingSnapshot(
            recording_id=recording.recording_id, status=recording.status, kind=recording.kind
        )
        return Observation.by_sweep(snapshot, asked_at, self._now(), self._app, missing=missing)


def _lacks_people(recording: Recording) -> bool:
    """Whether only the participants of a failed recording are missing, and its session is known."""
    is_failed = recording.status is Status.ERRORED and recording.is_open
    return is_failed and recording.session_id is not None and not recording.file_count


def _lacks_files(recording: Recording, observation: Observation) -> bool:
    """Whether a read for late files ended without them, and no other read is planned."""
    is_late_look = recording.status is Status.UPLOADED and not recording.is_open
    return (
        is_late_look
        and observation.snapshot.status is Status.UPLOADED
        and observation.snapshot.unknown_status is None
        and observation.files is None
    )
