"""The control plane: what tests, demos and campaigns in other processes steer the sandbox by."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from sandbox.api import responses
from sandbox.api.validation import decode, uuid, whole, wrong
from sandbox.model.behaviour import Status
from sandbox.model.errors import NotFound, Refusal
from sandbox.model.faults import Fault
from sandbox.model.log_entries import KINDS
from sandbox.model.recording import StartRequest

if TYPE_CHECKING:
    from sandbox.api.server import Sandbox

Answer = web.Response | object


class NewMeeting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /sandbox/meetings. `participants` is how many, or their custom ids."""

    id: str | None = None
    title: str | None = None
    participants: int | tuple[str, ...] = 3
    live: bool = True


class Who(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who joins or leaves: `user_id` (or `peer_id`), or somebody new by `custom_participant_id`."""

    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None
    name: str | None = None


class End(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a session ends."""

    reason: str = "HOST_ENDED_MEETING"


class Force(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The status a recording is put into."""

    status: Status


class Time(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How time changes: its speed, or a jump forward by so many seconds."""

    speed: float | None = None
    advance: float | None = None


class TokenChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token that becomes good, and one that is good no longer."""

    allow: str | None = None
    revoke: str | None = None


class Control:
    """Routes under `/sandbox`. Answers are JSON; a refusal is `{"error": …}` with its status."""

    def __init__(self, sandbox: "Sandbox") -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """For aiohttp."""
        table: list[tuple[str, str, Callable[[web.Request, bytes], Answer]]] = [
            ("GET", "", self._state),
            ("POST", "/meetings", self._create_meeting),
            ("GET", "/meetings/{meeting_id}", self._get_meeting),
            ("POST", "/meetings/{meeting_id}/join", self._join),
            ("POST", "/meetings/{meeting_id}/leave", self._leave),
            ("POST", "/meetings/{meeting_id}/rejoin", self._rejoin),
            ("POST", "/meetings/{meeting_id}/end", self._end),
            ("POST", "/recordings", self._start),
            ("PUT", "/recordings/{recording_id}", self._force),
            ("DELETE", "/recordings/{recording_id}", self._vanish),
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{fault_id}", self._clear_faults),
            ("GET", "/behaviour", self._behaviour),
            ("PATCH", "/behaviour", self._change_behaviour),
            ("GET", "/clock", self._clock),
            ("PATCH", "/clock", self._change_clock),
            ("POST", "/tokens", self._change_tokens),
            ("POST", "/webhooks/rotate-key", self._rotate_key),
            ("GET", "/request-log", self._request_log),
        ]
        return [
            web.route(method, f"/sandbox{path}", self._served(handle))
            for method, path, handle in table
        ]

    def _served(
        self, handle: Callable[[web.Request, bytes], Answer]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def serve(request: web.Request) -> web.Response:
            body = await request.read() or b"{}"
            self._sandbox.clock.run_due()
            try:
                answer = handle(request, body)
            except Refusal as refusal:
                return _json({"error": refusal.message}, refusal.status)
            return answer if isinstance(answer, web.Response) else _json(answer)

        return serve

    def _state(self, request: web.Request, body: bytes) -> Answer:
        del request, body
        sandbox = self._sandbox
        return {
            "base_url": sandbox.base_url,
            "webhook_key_url": sandbox.webhook_key_url,
            "meetings": len(sandbox.meetings.all()),
            "recordings": len(sandbox.recordings.index),
            "breaches": sandbox.rate_limiter.breaches,
            "counts": dict(sorted(sandbox.request_log.counts.items())),
        }

    def _create_meeting(self, request: web.Request, body: bytes) -> Answer:
        del request
        new = decode(body, NewMeeting)
        meeting_id = uuid("id", new.id) if new.id else None
        meeting = self._sandbox.meetings.create(
            meeting_id, title=new.title, participants=new.participants, live=new.live
        )
        return _json(self._described(meeting.id), 201)

    def _get_meeting(self, request: web.Request, body: bytes) -> Answer:
        del body
        return self._described(request.match_info["meeting_id"])

    def _join(self, request: web.Request, body: bytes) -> Answer:
        who, meeting_id = decode(body, Who), request.match_info["meeting_id"]
        meetings = self._sandbox.meetings
        user_id = who.user_id
        if user_id is None:
            custom_id = who.custom_participant_id or who.name or "guest"
            user_id = meetings.register(meeting_id, custom_id, name=who.name).id
        meetings.join(meeting_id, user_id)
        return self._described(meeting_id)

    def _leave(self, request: web.Request, body: bytes) -> Answer:
        who, meeting_id = decode(body, Who), request.match_info["meeting_id"]
        self._sandbox.meetings.leave(meeting_id, _named(who.peer_id or who.user_id))
        return self._described(meeting_id)

    def _rejoin(self, request: web.Request, body: bytes) -> Answer:
        who, meeting_id = decode(body, Who), request.match_info["meeting_id"]
        self._sandbox.meetings.rejoin(meeting_id, _named(who.user_id))
        return self._described(meeting_id)

    def _end(self, request: web.Request, body: bytes) -> Answer:
        meeting_id = request.match_info["meeting_id"]
        self._sandbox.meetings.end_session(meeting_id, reason=decode(body, End).reason)
        return self._described(meeting_id)

    def _described(self, meeting_id: str) -> object:
        meeting = self._sandbox.meetings.find(meeting_id)
        if meeting is None:
            raise NotFound("meeting")
        now, session = self._sandbox.clock.now(), meeting.session
        rows = session.presences if session else []
        return {
            **responses.meeting(meeting),
            "participants": [
                responses.participant(person) for person in meeting.participants.values()
            ],
            "session": responses.session(session, now=now) if session else None,
            "presences": [
                responses.presence(row, session, now=now, events=False) for row in rows if session
            ],
        }

    def _start(self, request: web.Request, body: bytes) -> Answer:
        """Somebody else starts a recording: a dashboard, another service, the meeting itself."""
        del request
        recording = self._sandbox.recordings.start(decode(body, StartRequest))
        return _json({"id": recording.id, "status": recording.status}, 201)

    def _force(self, request: web.Request, body: bytes) -> Answer:
        recordings = self._sandbox.recordings
        recording = recordings.index.get(request.match_info["recording_id"])
        recordings.force(recording, decode(body, Force).status)
        return {"id": recording.id, "status": recording.status}

    def _vanish(self, request: web.Request, body: bytes) -> Answer:
        del body
        recordings = self._sandbox.recordings
        recording = recordings.index.get(request.match_info["recording_id"])
        recordings.vanish(recording)
        return {"id": recording.id, "status": recording.status}

    def _faults(self, request: web.Request, body: bytes) -> Answer:
        del request, body
        return self._sandbox.faults.active()

    def _add_fault(self, request: web.Request, body: bytes) -> Answer:
        del request
        return _json({"id": self._sandbox.faults.add(decode(body, Fault))}, 201)

    def _clear_faults(self, request: web.Request, body: bytes) -> Answer:
        del body
        try:
            self._sandbox.faults.clear(request.match_info.get("fault_id"))
        except KeyError as error:
            raise NotFound("fault") from error
        return self._sandbox.faults.active()

    def _behaviour(self, request: web.Request, body: bytes) -> Answer:
        del request, body
        return self._sandbox.behaviour

    def _change_behaviour(self, request: web.Request, body: bytes) -> Answer:
        del request
        try:
            self._sandbox.behaviour.change(decode(body, dict[str, object]))
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error)) from error
        return self._sandbox.behaviour

    def _clock(self, request: web.Request, body: bytes) -> Answer:
        del request, body
        return {"now": self._sandbox.clock.now(), "speed": self._sandbox.clock.speed}

    def _change_clock(self, request: web.Request, body: bytes) -> Answer:
        change, clock = decode(body, Time), self._sandbox.clock
        try:
            if change.speed is not None:
                clock.set_speed(change.speed)
            clock.advance(change.advance or 0.0)
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        return self._clock(request, body)

    def _change_tokens(self, request: web.Request, body: bytes) -> Answer:
        del request
        change = decode(body, TokenChange)
        if change.revoke:
            self._sandbox.tokens.revoke(change.revoke)
        if change.allow:
            self._sandbox.tokens.allow(change.allow)
        return {}

    def _rotate_key(self, request: web.Request, body: bytes) -> Answer:
        del request, body
        self._sandbox.webhooks.signer.rotate()
        return {"webhook_key_url": self._sandbox.webhook_key_url}

    def _request_log(self, request: web.Request, body: bytes) -> Answer:
        """Entries from number `since` on, of one `kind` or all; `format=jsonl` one a line."""
        del body
        query, request_log = request.query, self._sandbox.request_log
        kind = query.get("kind")
        if kind is not None and kind not in KINDS:
            raise wrong("kind", f"must be one of [{', '.join(KINDS)}]")
        entries = request_log.entries(kind=kind, since=whole("since", query.get("since", "0")))
        if query.get("format") == "jsonl":
            lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
            return web.Response(body=lines, content_type="application/x-ndjson")
        return {"total": request_log.total, "counts": dict(request_log.counts), "entries": entries}


def _named(who: str | None) -> str:
    if who is None:
        raise wrong("user_id", "is required")
    return who


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )
