"""What each operation on recordings does with a request."""

from collections.abc import Callable

import msgspec
from multidict import MultiMapping

from sandbox.api import responses, validation
from sandbox.api.call import Call, Reply, page
from sandbox.model.behaviour import STATUSES, Behaviour, Status
from sandbox.model.clock import Clock
from sandbox.model.errors import NotFound
from sandbox.model.meeting import Meeting
from sandbox.model.meetings import Meetings
from sandbox.model.recording import Recording, StartRequest
from sandbox.model.recordings import Recordings


class RecordingOperations:
    """The six operations on recordings."""

    def __init__(
        self,
        clock: Clock,
        behaviour: Behaviour,
        meetings: Meetings,
        recordings: Recordings,
        worded: responses.Responses,
    ) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._meetings = meetings
        self._recordings = recordings
        self._shelf = recordings.index
        self._worded = worded

    def start_composite(self, call: Call) -> Reply:
        """POST /recordings."""
        body = validation.decode(call.body, validation.StartComposite)
        validation.check_composite(body)
        recording = self._recordings.start(_composite_request(call.app_id, body))
        call.recording_id = recording.id
        return Reply(data=self._worded.recording(recording))

    def start_track(self, call: Call) -> Reply:
        """POST /recordings/track."""
        body = validation.decode(call.body, validation.StartTrack)
        request = StartRequest(
            kind="track",
            app_id=call.app_id,
            meeting_id=str(body.meeting_id),
            prefix=body.layers.default.file_name_prefix,
            user_ids=body.user_ids,
            video_suffix=None,
            audio_suffix=None,
        )
        recording = self._recordings.start(request)
        call.recording_id = recording.id
        worded = self._worded.recording(recording)
        return Reply(data={"recording": worded} if self._behaviour.track_start_nested else worded)

    def get(self, call: Call) -> Reply:
        """GET /recordings/{recording_id}."""
        return Reply(data=self._worded.recording(self._named(call)))

    def change(self, call: Call) -> Reply:
        """PUT /recordings/{recording_id}."""
        recording = self._named(call)
        action = validation.decode(call.body, validation.Change).action
        moves = {
            "stop": self._recordings.stop,
            "pause": self._recordings.pause,
            "resume": self._recordings.resume,
        }
        moves[action](recording)
        return Reply(data=self._worded.recording(recording))

    def active(self, call: Call) -> Reply:
        """GET /recordings/active-recording/{meeting_id}: the latest, when there are several."""
        for recording in reversed(self._shelf.of_meeting(call.path["meeting_id"])):
            mine = recording.request.app_id == call.app_id
            if mine and recording.live and not recording.vanished:
                return Reply(data=self._worded.recording(recording))
        raise NotFound("active recording")

    def listing(self, call: Call) -> Reply:
        """GET /recordings."""
        query = call.query
        validation.only(query, _LIST_PARAMETERS)
        numbers = self._chosen(call)
        if self._descending(query):
            numbers = numbers[::-1]
        offset, length = page(query, self._behaviour)
        shown = [self._shown(number) for number in numbers[offset : offset + length]]
        items = [self._listed(recording) for recording in shown]
        extra: dict[str, object] = {"paging": responses.paging(len(numbers), offset, items)}
        return Reply(data=items, extra=extra)

    def _chosen(self, call: Call) -> list[int]:
        """The numbers of what is on the list, in ascending order of their start."""
        query = call.query
        statuses = _statuses(query)
        lags = self._behaviour.list_lag_seconds > 0
        if meeting_id := query.get("meeting_id"):
            meeting_id = validation.uuid("meeting_id", meeting_id)
            mine = self._shelf.of_meeting(meeting_id)
            numbers = [r.number for r in mine if r.request.app_id == call.app_id and not r.vanished]
            statuses_left: tuple[Status, ...] | None = statuses
        elif lags:
            numbers, statuses_left = self._shelf.of_app(call.app_id), statuses
        else:
            numbers = self._shelf.with_status(call.app_id, statuses or STATUSES)
            statuses_left = None
        tests = self._tests(query, statuses_left)
        if lags:
            horizon = self._clock.now() - self._behaviour.list_lag_seconds
            numbers = [n for n in numbers if self._shelf.number(n).invoked_at <= horizon]
        if not tests:
            return numbers
        return [n for n in numbers if all(test(self._shown(n)) for test in tests)]

    def _tests(
        self, query: MultiMapping[str], statuses: tuple[Status, ...] | None
    ) -> list[Callable[[Recording], bool]]:
        tests: list[Callable[[Recording], bool]] = []
        if statuses:
            tests.append(lambda recording: recording.status in statuses)
        if start := query.get("start_time"):
            first = validation.moment("start_time", start)
            tests.append(lambda recording: recording.invoked_at >= first)
        if end := query.get("end_time"):
            last = validation.moment("end_time", end)
            tests.append(lambda recording: recording.invoked_at <= last)
        if text := query.get("search"):
            tests.append(lambda recording: self._found(recording, text))
        if expired := query.get("expired"):
            wanted = validation.flag("expired", expired)
            tests.append(lambda recording: self._expired(recording) == wanted)
        return tests

    def _shown(self, number: int) -> Recording:
        recording = self._shelf.number(number)
        lag = self._behaviour.list_lag_seconds
        return recording.as_of(self._clock.now() - lag) if lag else recording

    def _listed(self, recording: Recording) -> dict[str, object]:
        meeting = self._meeting_of(recording)
        return {
            **self._worded.recording(recording, listed=True),
            "meeting": responses.meeting(meeting),
        }

    def _meeting_of(self, recording: Recording) -> Meeting:
        return self._meetings.get(recording.request.meeting_id)

    def _found(self, recording: Recording, text: str) -> bool:
        meeting = self._meeting_of(recording)
        return text in meeting.id or text.lower() in meeting.title.lower()

    def _expired(self, recording: Recording) -> bool:
        expiry = self._worded.downloads_expire_at(recording)
        return expiry is not None and expiry <= self._clock.now()

    def _descending(self, query: MultiMapping[str]) -> bool:
        if key := query.get("sort_by"):
            validation.one_of("sort_by", key, ("invokedTime",))
        order = query.get("sort_order", "DESC" if self._behaviour.newest_first else "ASC")
        return validation.one_of("sort_order", order, ("ASC", "DESC")) == "DESC"

    def _named(self, call: Call) -> Recording:
        recording_id = validation.uuid("recording_id", call.path["recording_id"])
        recording = self._shelf.get(recording_id, app_id=call.app_id)
        call.meeting_id = recording.request.meeting_id
        return recording


_LIST_PARAMETERS = (
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


def _statuses(query: MultiMapping[str]) -> tuple[Status, ...] | None:
    """`status=A,B`, `status=A&status=B` and `status[]=A` all mean the same."""
    texts = [*query.getall("status", []), *query.getall("status[]", [])]
    words = {word for text in texts for word in text.split(",") if word}
    for word in words:
        validation.one_of("status", word, STATUSES)
    return tuple(status for status in STATUSES if status in words) or None


def _composite_request(app_id: str, body: validation.StartComposite) -> StartRequest:
    storage = None
    if body.storage_config:
        named = msgspec.structs.asdict(body.storage_config)
        shown = ("type", "bucket", "region", "path", "host", "auth_method")
        storage = {name: named[name] for name in shown if named[name] is not None}
    video, audio = body.video_config, body.audio_config
    return StartRequest(
        kind="composite",
        app_id=app_id,
        meeting_id=str(body.meeting_id),
        prefix=body.file_name_prefix,
        max_seconds=body.max_seconds,
        allow_multiple=body.allow_multiple_recordings,
        video_suffix=("mp4" if video.codec == "H264" else "webm") if video.export_file else None,
        audio_suffix=audio.codec.lower() if audio.export_file else None,
        bucket_enabled=body.realtimekit_bucket_config.enabled,
        storage=storage,
        streams=body.rtmp_out_config is not None,
    )
