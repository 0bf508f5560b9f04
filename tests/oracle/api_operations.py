"""What each request does to the world, and its answer."""

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tests.oracle import views
from tests.oracle.answers import Answer, data, refusal
from tests.oracle.api_lists import ApiLists, Query
from tests.oracle.behaviour import Behaviour
from tests.oracle.start_bodies import fault_of
from tests.oracle.truth import ENDED, Kind, Meeting, Recording
from tests.oracle.world import World


class Call(NamedTuple):
    """A request as the product sees it."""

    operation: str
    app: str
    target: str | None
    query: Query
    body: Any


def route(method: str, path: tuple[str, ...]) -> tuple[str, str | None]:
    """The operation and the id in its path; `unknown` if there is no such operation."""
    for known, operation in ROUTES.items():
        parts = known.split("/")
        names = [part for part in parts[1:] if part != "*"]
        ids = [given for given, part in zip(path, parts[1:], strict=False) if part == "*"]
        fixed = [given for given, part in zip(path, parts[1:], strict=False) if part != "*"]
        if parts[0] == method and len(path) == len(parts) - 1 and fixed == names:
            return operation, ids[0] if ids else None
    return "unknown", None


ROUTES: Final = {
    "POST/recordings": "start_composite",
    "POST/recordings/track": "start_track",
    "GET/recordings": "list",
    "GET/recordings/active-recording/*": "active_recording",
    "GET/recordings/*": "get",
    "PUT/recordings/*": "control",
    "GET/webhooks": "list_webhooks",
    "POST/webhooks": "add_webhook",
    "GET/sessions": "sessions",
    "GET/sessions/*": "session",
    "GET/sessions/*/participants": "session_participants",
    "GET/meetings/*/active-session": "active_session",
    "GET/meetings/*/participants": "meeting_participants",
}


class ApiOperations:
    """Executes calls."""

    def __init__(self, world: World, behaviour: Behaviour, lists: ApiLists) -> None:
        self._world = world
        self._truth = world.truth
        self._behaviour = behaviour
        self._lists = lists

    def execute(self, call: Call) -> Answer:
        """The effect of a call and its answer, if nothing goes wrong on the way."""
        by_name: dict[str, Callable[[Call], Answer]] = {
            "start_composite": lambda call: self._start(call, "composite"),
            "start_track": lambda call: self._start(call, "track"),
            "list": lambda call: self._lists.recordings(call.app, call.query),
            "get": self._get,
            "control": self._control,
            "sessions": lambda call: self._lists.sessions(call.app, call.query),
            "session": self._session,
            "session_participants": self._session_participants,
            "active_session": self._active_session,
            "meeting_participants": self._meeting_participants,
            "list_webhooks": lambda _: data([]),
        }
        act = by_name.get(call.operation)
        return act(call) if act else refusal(404, "Not found")

    def _start(self, call: Call, kind: Kind) -> Answer:
        if problem := fault_of(call.body, kind):
            return refusal(422, f"oracle: {problem}")
        meeting = self._meeting(call, call.body["meeting_id"])
        if meeting is None:
            return refusal(404, "meeting not found")
        if not meeting.is_live(time.time()):
            return refusal(self._behaviour.no_session_status, "no active session found")
        if self._is_refused_as_second(meeting, kind, call.body):
            return refusal(409, "another recording is already in progress")
        recording = self._world.start(meeting, kind, call.body, by_worker=True)
        shown = views.started_json(recording, time.time(), self._behaviour)
        is_wrapped = kind == "track" and self._behaviour.track_answer == "recording"
        content = {"recording": shown} if is_wrapped else shown
        return data(content, ((recording.id, "INVOKED"),), recording.id)

    def _is_refused_as_second(self, meeting: Meeting, kind: Kind, body: views.Json) -> bool:
        if kind == "composite" and body.get("allow_multiple_recordings"):
            return False
        if kind == "track" and self._behaviour.double_start == "allowed":
            return False
        return any(
            recording.meeting is meeting
            and recording.kind == kind
            and recording.status in {"INVOKED", "RECORDING", "PAUSED"}
            for recording in self._truth.recordings.values()
        )

    def _get(self, call: Call) -> Answer:
        recording = self._recording(call)
        at = time.time() - self._behaviour.get_lag
        hides = self._behaviour.lagging_get == "not_found"
        if recording is None or (hides and recording.began > at):
            return refusal(404, "recording not found")
        return self._show(recording, at)

    def _control(self, call: Call) -> Answer:
        recording = self._recording(call)
        if recording is None:
            return refusal(404, "recording not found")
        before = time.time()
        action = call.body.get("action")
        refused = self._refused_control(recording, action)
        if refused is not None:
            return refused
        acts = {"pause": self._world.pause, "resume": self._world.resume}
        if action == "stop":
            self._world.stop(recording, "API_CALL")
        else:
            acts[action](recording)
        at = before if self._behaviour.put_shows == "before" else time.time()
        return self._show(recording, at, recording.id)

    def _refused_control(self, recording: Recording, action: str) -> Answer | None:
        status = recording.status
        if status == "INVOKED" and (action != "stop" or self._behaviour.early_stop == "refused"):
            return refusal(400, "recording is not in progress")
        if status == "UPLOADING" or status in ENDED:
            late = self._behaviour.late_stop_status
            return self._show(recording, time.time()) if late == 200 else refusal(late, "ended")
        if {"pause": "PAUSED", "resume": "RECORDING"}.get(action) == status:
            return refusal(400, f"recording is {status} already")
        return None

    def _show(self, recording: Recording, at: float, effect: str | None = None) -> Answer:
        shown = views.recording_json(recording, at, self._behaviour)
        return data(shown, ((recording.id, shown["status"]),), effect)

    def _session(self, call: Call) -> Answer:
        meeting = self._by_session(call)
        return refusal(404, "not found") if meeting is None else data(views.session_json(meeting))

    def _session_participants(self, call: Call) -> Answer:
        meeting = self._by_session(call)
        if meeting is None:
            return refusal(404, "session not found")
        return self._lists.session_participants(meeting, call.query)

    def _active_session(self, call: Call) -> Answer:
        meeting = self._meeting(call, call.target)
        if meeting is None or not meeting.is_live(time.time()):
            return refusal(404, "no active session")
        return data(views.session_json(meeting))

    def _meeting_participants(self, call: Call) -> Answer:
        meeting = self._meeting(call, call.target)
        if meeting is None:
            return refusal(404, "meeting not found")
        return self._lists.meeting_participants(meeting, call.query)

    def _recording(self, call: Call) -> Recording | None:
        recording = self._truth.recordings.get(call.target or "")
        if recording is None or recording.app != call.app or recording.is_hidden(time.time()):
            return None
        return recording

    def _meeting(self, call: Call, wanted: str | None) -> Meeting | None:
        meeting = self._truth.meetings.get(wanted or "")
        return meeting if meeting is not None and meeting.app == call.app else None

    def _by_session(self, call: Call) -> Meeting | None:
        for meeting in self._truth.meetings.values():
            if meeting.session_id == call.target and meeting.app == call.app and meeting.began:
                return meeting
        return None
