"""Finds recordings by id, meeting, app and status, in the order of their start."""

from bisect import bisect_left, insort
from itertools import chain

from recording_sandbox.model.behaviour import STATUSES, Status
from recording_sandbox.model.errors import NotFound
from recording_sandbox.model.recording import Recording


class RecordingIndex:
    """All recordings. The time to find live ones does not grow with those that have ended."""

    def __init__(self) -> None:
        self._by_id: dict[str, Recording] = {}
        self._by_number: list[Recording] = []
        self._by_meeting: dict[str, list[Recording]] = {}
        self._by_status: dict[tuple[str, Status], list[int]] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    def all(self) -> list[Recording]:
        """All recordings in the order of their start, including vanished ones."""
        return list(self._by_number)

    def find(self, recording_id: str) -> Recording | None:
        """The recording, also if it vanished from the API; or None."""
        return self._by_id.get(recording_id)

    def get(self, recording_id: str, *, app_id: str | None = None) -> Recording:
        """The recording. Raises NotFound if it is not in this app, or vanished."""
        recording = self._by_id.get(recording_id)
        if (
            recording is None
            or recording.vanished
            or app_id not in (None, recording.request.app_id)
        ):
            raise NotFound("recording")
        return recording

    def of_meeting(self, meeting_id: str) -> list[Recording]:
        """A meeting's recordings in the order of their start."""
        return self._by_meeting.get(meeting_id, [])

    def with_status(self, app_id: str, statuses: tuple[Status, ...]) -> list[int]:
        """The numbers of an app's recordings with one of these statuses, in ascending order."""
        lists = [self._by_status.get((app_id, status), []) for status in statuses]
        if len(lists) == 1:
            return lists[0]
        # Sorting runs that are in order merges them, which takes milliseconds for 100,000 numbers.
        return sorted(chain.from_iterable(lists))

    def of_app(self, app_id: str) -> list[int]:
        """The numbers of all recordings of an app, in ascending order."""
        return self.with_status(app_id, STATUSES)

    def number(self, number: int) -> Recording:
        """The recording of this number; the first one started has 0."""
        return self._by_number[number]

    def put(self, recording: Recording) -> None:
        """Add a new recording. Its `number` must be the length of the index."""
        self._by_id[recording.id] = recording
        self._by_number.append(recording)
        self._by_meeting.setdefault(recording.request.meeting_id, []).append(recording)
        self._list(recording, recording.status)

    def move(self, recording: Recording, status: Status) -> None:
        """Set the recording's status."""
        if not recording.vanished:
            self._unlist(recording)
            self._list(recording, status)
        recording.status = status

    def hide(self, recording: Recording) -> None:
        """Take the recording off all lists. `get` raises NotFound from now on."""
        if not recording.vanished:
            self._unlist(recording)
            recording.vanished = True

    def _list(self, recording: Recording, status: Status) -> None:
        numbers = self._by_status.setdefault((recording.request.app_id, status), [])
        insort(numbers, recording.number)

    def _unlist(self, recording: Recording) -> None:
        numbers = self._by_status[recording.request.app_id, recording.status]
        del numbers[bisect_left(numbers, recording.number)]
