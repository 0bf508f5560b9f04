"""The list of recordings: filters, order, pages, and its lag."""

from collections.abc import Callable

from multidict import MultiMapping

from recording_sandbox.api import responses, validation
from recording_sandbox.api.call import Call, Reply, page
from recording_sandbox.api.recording_responses import RecordingResponses
from recording_sandbox.model.behaviour import STATUSES, Behaviour, Status
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.meeting import Meeting
from recording_sandbox.model.meetings import Meetings
from recording_sandbox.model.recording import Recording
from recording_sandbox.model.recordings import Recordings

Filter = Callable[[Recording], bool]

_PARAMETERS = (
    "meeting_id",
    "page_no",
    "per_page",
    "expired",
    "search",
    "sort_by",
    "sort_order",
    "start_time",
    "end_time",
    "status",
    "status[]",
)


class RecordingList:
    """Handler of GET /recordings.

    It works on recordings' numbers, which ascend with their start. So a page of a long list costs
    little more than the recordings on it.
    """

    def __init__(
        self,
        clock: Clock,
        behaviour: Behaviour,
        meetings: Meetings,
        recordings: Recordings,
        recording_responses: RecordingResponses,
    ) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._meetings = meetings
        self._index = recordings.index
        self._responses = recording_responses

    def list_recordings(self, call: Call) -> Reply:
        """GET /recordings."""
        query = call.query
        validation.only(query, _PARAMETERS)
        numbers = self._select(call)
        if self._is_descending(query):
            numbers = numbers[::-1]
        offset, length = page(query, self._behaviour)
        recordings = [self._as_listed(number) for number in numbers[offset : offset + length]]
        items = [self._item(recording) for recording in recordings]
        return Reply(data=items, extra={"paging": responses.paging(len(numbers), offset, items)})

    def _select(self, call: Call) -> list[int]:
        """The numbers of the recordings on the list, in ascending order."""
        statuses = _statuses(call.query)
        numbers, is_status_checked = self._candidates(call, statuses)
        filters = self._filters(call.query, None if is_status_checked else statuses)
        if lag := self._behaviour.list_lag_seconds:
            horizon = self._clock.now() - lag
            numbers = [n for n in numbers if self._index.number(n).invoked_at <= horizon]
        if not filters:
            return numbers
        return [n for n in numbers if all(fits(self._as_listed(n)) for fits in filters)]

    def _candidates(
        self, call: Call, statuses: tuple[Status, ...] | None
    ) -> tuple[list[int], bool]:
        """Numbers by the narrowest index, and whether their status has been checked already."""
        if meeting_id := call.query.get("meeting_id"):
            recordings = self._index.of_meeting(validation.uuid("meeting_id", meeting_id))
            numbers = [
                recording.number
                for recording in recordings
                if recording.request.app_id == call.app_id and not recording.vanished
            ]
            return numbers, False
        is_hiding = not self._behaviour.list_shown_statuses
        if self._behaviour.list_lag_seconds > 0 or is_hiding:
            # The index has the current status. With a lag, the listed one differs from it.
            return self._index.of_app(call.app_id), False
        return self._index.with_status(call.app_id, statuses or STATUSES), True

    def _filters(
        self, query: MultiMapping[str], statuses: tuple[Status, ...] | None
    ) -> list[Filter]:
        filters: list[Filter] = []
        if statuses:
            filters.append(lambda recording: recording.status in statuses)
            if not self._behaviour.list_shown_statuses:
                shown_statuses = self._behaviour.shown_statuses
                filters.append(lambda recording: recording.status not in shown_statuses)
        if start := query.get("start_time"):
            first = validation.timestamp("start_time", start)
            filters.append(lambda recording: recording.invoked_at >= first)
        if end := query.get("end_time"):
            last = validation.timestamp("end_time", end)
            filters.append(lambda recording: recording.invoked_at <= last)
        if text := query.get("search"):
            filters.append(lambda recording: self._matches(recording, text))
        if expired := query.get("expired"):
            expected = validation.flag("expired", expired)
            filters.append(lambda recording: self._is_expired(recording) == expected)
        return filters

    def _as_listed(self, number: int) -> Recording:
        recording = self._index.number(number)
        lag = self._behaviour.list_lag_seconds
        return recording.as_of(self._clock.now() - lag) if lag else recording

    def _item(self, recording: Recording) -> dict[str, object]:
        return {
            **self._responses.recording(recording, listed=True),
            "meeting": responses.meeting(self._meeting_of(recording)),
        }

    def _meeting_of(self, recording: Recording) -> Meeting:
        return self._meetings.get(recording.request.meeting_id)

    def _matches(self, recording: Recording, text: str) -> bool:
        meeting = self._meeting_of(recording)
        return text in meeting.id or text.lower() in meeting.title.lower()

    def _is_expired(self, recording: Recording) -> bool:
        expiry = self._responses.downloads_expire_at(recording)
        return expiry is not None and expiry <= self._clock.now()

    def _is_descending(self, query: MultiMapping[str]) -> bool:
        if key := query.get("sort_by"):
            validation.one_of("sort_by", key, ("invokedTime",))
        order = query.get("sort_order", "DESC" if self._behaviour.newest_first else "ASC")
        return validation.one_of("sort_order", order, ("ASC", "DESC")) == "DESC"


def _statuses(query: MultiMapping[str]) -> tuple[Status, ...] | None:
    """`status=A,B`, `status=A&status=B` and `status[]=A&status[]=B` mean the same."""
    texts = [*query.getall("status", []), *query.getall("status[]", [])]
    words = {word for text in texts for word in text.split(",") if word}
    for word in words:
        validation.one_of("status", word, STATUSES)
    return tuple(status for status in STATUSES if status in words) or None
