"""The emulated API's front: routes, and the way of one request from the door to the request_log."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

import msgspec
from aiohttp import web

from sandbox.api.auth import RateLimiter, Tokens
from sandbox.api.call import Call, Handler
from sandbox.api.recording_operations import RecordingOperations
from sandbox.api.session_operations import SessionOperations
from sandbox.api.webhook_operations import WebhookOperations
from sandbox.api.wire import (
    JSON,
    fault_response,
    gateway_error,
    json_response,
    lose_response,
    rate_limited,
    reset_connection,
)
from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock
from sandbox.model.errors import Refusal
from sandbox.model.faults import LOST_RESPONSES, REFUSALS, Fault, Faults
from sandbox.model.log_entries import RequestEntry
from sandbox.model.request_log import RequestLog

BASE = "/client/v4/accounts/{account_id}/realtime/kit/{app_id}"
MAX_BODY_BYTES = 1_048_576


class Door(msgspec.Struct, frozen=True):
    """What every request passes before and after its operation."""

    clock: Clock
    behaviour: Behaviour
    tokens: Tokens
    limiter: RateLimiter
    faults: Faults
    request_log: RequestLog


class _Peek(msgspec.Struct):
    meeting_id: str | None = None
    action: str | None = None


class Api:
    """Serves the operations under `BASE`."""

    def __init__(
        self,
        door: Door,
        recordings: RecordingOperations,
        sessions: SessionOperations,
        webhooks: WebhookOperations,
    ) -> None:
        self._door = door
        self._in_work: Counter[tuple[str, str | None]] = Counter()
        self._operations: list[tuple[str, str, str, Handler]] = [
            ("start_recording", "POST", "/recordings", recordings.start_composite),
            ("start_track_recording", "POST", "/recordings/track", recordings.start_track),
            ("list_recordings", "GET", "/recordings", recordings.listing),
            (
                "active_recording",
                "GET",
                "/recordings/active-recording/{meeting_id}",
                recordings.active,
            ),
            ("get_recording", "GET", "/recordings/{recording_id}", recordings.get),
            ("change_recording", "PUT", "/recordings/{recording_id}", recordings.change),
            ("list_sessions", "GET", "/sessions", sessions.listing),
            ("get_session", "GET", "/sessions/{session_id}", sessions.get),
            (
                "list_participants",
                "GET",
                "/sessions/{session_id}/participants",
                sessions.participants,
            ),
            (
                "get_participant",
                "GET",
                "/sessions/{session_id}/participants/{participant_id}",
                sessions.participant,
            ),
            ("active_session", "GET", "/meetings/{meeting_id}/active-session", sessions.active),
            ("create_meeting", "POST", "/meetings", sessions.create_meeting),
            ("get_meeting", "GET", "/meetings/{meeting_id}", sessions.get_meeting),
            (
                "add_participant",
                "POST",
                "/meetings/{meeting_id}/participants",
                sessions.add_participant,
            ),
            (
                "meeting_participants",
                "GET",
                "/meetings/{meeting_id}/participants",
                sessions.meeting_participants,
            ),
            ("list_webhooks", "GET", "/webhooks", webhooks.listing),
            ("add_webhook", "POST", "/webhooks", webhooks.add),
            ("list_webhook_events", "GET", "/webhooks/all", webhooks.events),
            ("get_webhook", "GET", "/webhooks/{webhook_id}", webhooks.get),
            ("replace_webhook", "PUT", "/webhooks/{webhook_id}", webhooks.replace),
            ("edit_webhook", "PATCH", "/webhooks/{webhook_id}", webhooks.edit),
            ("delete_webhook", "DELETE", "/webhooks/{webhook_id}", webhooks.delete),
        ]

    def routes(self) -> list[web.RouteDef]:
        """For aiohttp. A path that none of them is gets the gateway's own error."""
        routes = [
            web.route(method, BASE + path, self._served(operation, handler))
            for operation, method, path, handler in self._operations
        ]
        routes.append(web.route("*", "/client/v4/{rest:.*}", _no_route))
        return routes

    def _served(
        self, operation: str, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = await _call(operation, request)
            about = call.operation, call.meeting_id
            call.in_flight = self._in_work[about]
            self._in_work[about] += 1
            try:
                return await self._serve(request, call, handler)
            finally:
                self._in_work[about] -= 1

        return serve

    async def _serve(
        self, request: web.Request, call: Call, handler: Handler
    ) -> web.StreamResponse:
        self._door.clock.run_due()
        token = self._door.tokens.number(request.headers.get("Authorization"))
        if token is None:
            self._note(call, 401)
            return json_response(401, {"message": "Unauthorized"})
        if before := self._fault(REFUSALS, call):
            return self._refused(request, call, token, before)
        if wait := self._wait(call, token):
            self._note(call, 429, token=token, breach=True)
            return rate_limited(wait, self._door.limiter.headers(token))
        if late := self._fault({"late"}, call):
            status, body, after = await self._execute_late(call, handler, token, late)
        else:
            status, body, after = self._execute(call, handler, token)
        if slow := self._fault({"slow"}, call):
            await asyncio.sleep(1.0 if slow.seconds is None else slow.seconds)
        if after:
            return await lose_response(request, status, body, after)
        return web.Response(
            status=status,
            body=body,
            headers={"Content-Type": JSON, **self._door.limiter.headers(token)},
        )

    def _execute(self, call: Call, handler: Handler, token: int) -> tuple[int, bytes, Fault | None]:
        """Do it and write it down; the last member says how its answer is lost, if it is."""
        self._door.clock.run_due()
        status, body = self._processed(call, handler)
        after = self._fault(LOST_RESPONSES, call)
        self._note(call, status, token=token, fault=after.kind if after else None)
        return status, body, after

    async def _execute_late(
        self, call: Call, handler: Handler, token: int, late: Fault
    ) -> tuple[int, bytes, Fault | None]:
        """Do it after a while, also when the client no longer waits for it."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[tuple[int, bytes, Fault | None]] = loop.create_future()

        def execute() -> None:
            result = self._execute(call, handler, token)
            if not outcome.done():
                outcome.set_result(result)

        loop.call_later(1.0 if late.seconds is None else late.seconds, execute)
        return await outcome

    def _processed(self, call: Call, handler: Handler) -> tuple[int, bytes]:
        """Do what is asked, all at once: nothing else happens in this world meanwhile."""
        if self._fault({"echo_body"}, call):
            text = call.body.decode(errors="replace")
            return self._refusal(Refusal(400, f"BAD_REQUEST: cannot use {text}"))
        try:
            reply = handler(call)
        except Refusal as refusal:
            return self._refusal(refusal)
        if omit := self._fault({"omit"}, call):
            _omit(reply.data, omit.fields)
        return reply.status, msgspec.json.encode(
            {"success": True, "data": reply.data, **reply.extra}
        )

    def _refusal(self, refusal: Refusal) -> tuple[int, bytes]:
        status = refusal.status
        if status == 400 and refusal.message.startswith('BAD_REQUEST: "'):
            status = self._door.behaviour.validation_status
        error = {"code": status, "message": refusal.message}
        return status, msgspec.json.encode({"success": False, "error": error})

    def _refused(
        self, request: web.Request, call: Call, token: int, fault: Fault
    ) -> web.StreamResponse:
        status = None if fault.kind == "reset" else fault.status
        self._note(call, status, token=token, fault=fault.kind)
        if status is None:
            return reset_connection(request)
        return fault_response(fault, self._door.limiter.headers(token))

    def _wait(self, call: Call, token: int) -> int | None:
        recordings = call.operation.endswith(("recording", "recordings"))
        return self._door.limiter.seconds_to_wait(token, recordings=recordings)

    def _fault(self, kinds: Collection[str], call: Call) -> Fault | None:
        return self._door.faults.trigger(
            kinds,
            operation=call.operation,
            meeting_id=call.meeting_id,
            recording_id=call.recording_id,
        )

    def _note(
        self,
        call: Call,
        status: int | None,
        *,
        token: int | None = None,
        fault: str | None = None,
        breach: bool = False,
    ) -> None:
        self._door.request_log.add(
            RequestEntry(
                at=self._door.clock.now(),
                operation=call.operation,
                method=call.method,
                status=status,
                app_id=call.app_id,
                meeting_id=call.meeting_id,
                recording_id=call.recording_id,
                detail=call.detail,
                fault=fault,
                token=token,
                breach=breach,
                in_flight=call.in_flight,
            )
        )


async def _call(operation: str, request: web.Request) -> Call:
    body = await request.read() if request.can_read_body else b""
    try:
        peek = msgspec.json.decode(body, type=_Peek) if body else _Peek()
    except msgspec.DecodeError:
        peek = _Peek()
    path = request.match_info
    return Call(
        operation=operation,
        method=request.method,
        app_id=path["app_id"],
        path=path,
        query=request.query,
        body=body,
        meeting_id=path.get("meeting_id") or request.query.get("meeting_id") or peek.meeting_id,
        recording_id=path.get("recording_id"),
        detail=peek.action,
    )


async def _no_route(request: web.Request) -> web.Response:
    del request
    return gateway_error(404, 7003, "No route for the URI")


def _omit(data: object, members: tuple[str, ...]) -> None:
    """Leave members out of the object, of the recording in it, or of each item of the list."""
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict):
            inner = item.get("recording")
            for name in members:
                (inner if isinstance(inner, dict) else item).pop(name, None)
