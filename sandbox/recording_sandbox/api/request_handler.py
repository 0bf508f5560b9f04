"""Handles one API request: authentication, faults, rate limit, operation, log, response."""

import asyncio
from collections import Counter
from collections.abc import Collection

import msgspec
from aiohttp import web

from recording_sandbox.api.call import Call, Handler
from recording_sandbox.api.raw_responses import (
    JSON,
    fault_response,
    json_response,
    lose_response,
    rate_limited,
    reset_connection,
)
from recording_sandbox.api.state import SandboxState
from recording_sandbox.model.errors import Refusal
from recording_sandbox.model.faults import LOST_RESPONSES, REFUSALS, Fault
from recording_sandbox.model.log_entries import RequestEntry


class _Outcome(msgspec.Struct, frozen=True):
    """The response, and the fault that loses it, if any."""

    status: int
    body: bytes
    lost_by: Fault | None


class _LoggedFields(msgspec.Struct):
    """The fields of a request body that the request log and the faults need."""

    meeting_id: str | None = None
    action: str | None = None


class RequestHandler:
    """Takes requests through their stages, from top to bottom of this class."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._in_flight: Counter[tuple[str, str | None]] = Counter()

    async def handle(
        self, request: web.Request, name: str, operation: Handler
    ) -> web.StreamResponse:
        """Serve one request of the operation `name`."""
        call = await _read(request, name)
        key = call.operation, call.meeting_id
        call.in_flight = self._in_flight[key]
        self._in_flight[key] += 1
        try:
            return await self._respond(request, call, operation)
        finally:
            self._in_flight[key] -= 1

    async def _respond(
        self, request: web.Request, call: Call, operation: Handler
    ) -> web.StreamResponse:
        state = self._state
        state.clock.run_due()
        token = state.tokens.number(request.headers.get("Authorization"))
        if token is None:
            self._log(call, 401)
            return json_response(401, {"message": "Unauthorized"})
        if refusal := self._trigger(REFUSALS, call):
            return self._refuse(request, call, token, refusal)
        if blocked_seconds := self._acquire(call, token):
            self._log(call, 429, token=token, breach=True)
            return rate_limited(blocked_seconds, state.rate_limiter.headers(token))
        if late := self._trigger({"late"}, call):
            outcome = await self._execute_late(call, operation, token, late)
        else:
            outcome = self._execute(call, operation, token)
        if slow := self._trigger({"slow"}, call):
            await asyncio.sleep(1.0 if slow.seconds is None else slow.seconds)
        if outcome.lost_by:
            return await lose_response(request, outcome.status, outcome.body, outcome.lost_by)
        headers = {"Content-Type": JSON, **state.rate_limiter.headers(token)}
        return web.Response(status=outcome.status, body=outcome.body, headers=headers)

    def _refuse(
        self, request: web.Request, call: Call, token: int, fault: Fault
    ) -> web.StreamResponse:
        status = None if fault.kind == "reset" else fault.status
        self._log(call, status, token=token, fault=fault.kind)
        if status is None:
            return reset_connection(request)
        headers = self._state.rate_limiter.headers(token)
        return fault_response(fault, headers, self._state.clock.now())

    def _acquire(self, call: Call, token: int) -> int | None:
        recordings = call.operation.endswith(("recording", "recordings"))
        return self._state.rate_limiter.acquire(token, recordings=recordings)

    async def _execute_late(
        self, call: Call, operation: Handler, token: int, late: Fault
    ) -> _Outcome:
        """Execute after a delay, also when the client no longer waits for the response."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[_Outcome] = loop.create_future()

        def execute() -> None:
            result = self._execute(call, operation, token)
            if not outcome.done():
                outcome.set_result(result)

        loop.call_later(1.0 if late.seconds is None else late.seconds, execute)
        return await outcome

    def _execute(self, call: Call, operation: Handler, token: int) -> _Outcome:
        """Execute without a pause, so that nothing else happens meanwhile, and log the result."""
        self._state.clock.run_due()
        status, body = self._run(call, operation)
        lost_by = self._trigger(LOST_RESPONSES, call)
        self._log(call, status, token=token, fault=lost_by.kind if lost_by else None)
        return _Outcome(status, body, lost_by)

    def _run(self, call: Call, operation: Handler) -> tuple[int, bytes]:
        if self._trigger({"echo_body"}, call):
            text = call.body.decode(errors="replace")
            return self._refused(Refusal(400, f"BAD_REQUEST: cannot use {text}"))
        try:
            reply = operation(call)
        except Refusal as refusal:
            return self._refused(refusal)
        if omit := self._trigger({"omit"}, call):
            _omit(reply.data, omit.fields)
        body = {"success": True, "data": reply.data, **reply.extra}
        return reply.status, msgspec.json.encode(body)

    def _refused(self, refusal: Refusal) -> tuple[int, bytes]:
        status = refusal.status
        if status == 400 and refusal.message.startswith('BAD_REQUEST: "'):
            status = self._state.behaviour.validation_status
        error = {"code": status, "message": refusal.message}
        return status, msgspec.json.encode({"success": False, "error": error})

    def _trigger(self, kinds: Collection[str], call: Call) -> Fault | None:
        return self._state.faults.trigger(
            kinds,
            operation=call.operation,
            meeting_id=call.meeting_id,
            recording_id=call.recording_id,
        )

    def _log(
        self,
        call: Call,
        status: int | None,
        *,
        token: int | None = None,
        fault: str | None = None,
        breach: bool = False,
    ) -> None:
        self._state.request_log.add(
            RequestEntry(
                at=self._state.clock.now(),
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


async def _read(request: web.Request, name: str) -> Call:
    body = await request.read() if request.can_read_body else b""
    try:
        fields = msgspec.json.decode(body, type=_LoggedFields) if body else _LoggedFields()
    except msgspec.DecodeError:
        fields = _LoggedFields()
    path = request.match_info
    return Call(
        operation=name,
        method=request.method,
        app_id=path["app_id"],
        path=path,
        query=request.query,
        body=body,
        meeting_id=path.get("meeting_id") or request.query.get("meeting_id") or fields.meeting_id,
        recording_id=path.get("recording_id"),
        detail=fields.action,
    )


def _omit(data: object, fields: tuple[str, ...]) -> None:
    """Remove fields from the object, from the recording in it, or from each item of the list."""
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict):
            inner = item.get("recording")
            for name in fields:
                (inner if isinstance(inner, dict) else item).pop(name, None)
