"""The routes of the control plane."""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from recording_sandbox.api.call import Reply
from recording_sandbox.api.control.call import ControlCall, ControlHandler, ControlRoute
from recording_sandbox.api.control.meetings import MeetingControl
from recording_sandbox.api.control.recordings import RecordingControl
from recording_sandbox.api.control.request_log import request_log_reader
from recording_sandbox.api.control.settings import SettingsControl
from recording_sandbox.api.state import SandboxState
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.errors import Refusal


def control_routes(state: SandboxState) -> list[web.RouteDef]:
    """The routes under `/sandbox`. A refusal is `{"error": …}` with its status."""
    table: list[ControlRoute] = [
        ("GET", "", _summary(state)),
        *MeetingControl(state.clock, state.meetings).routes(),
        *RecordingControl(state.recordings).routes(),
        *SettingsControl(state).routes(),
        ("GET", "/request-log", request_log_reader(state.request_log)),
    ]
    return [
        web.route(method, f"/sandbox{path}", _served(state.clock, handler))
        for method, path, handler in table
    ]


def _served(
    clock: Clock, handler: ControlHandler
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        body = await request.read() or b"{}"
        clock.run_due()
        try:
            result = handler(ControlCall(request.match_info, request.query, body))
        except Refusal as refusal:
            return _json(refusal.status, {"error": refusal.message})
        if isinstance(result, Reply):
            return _json(result.status, result.data)
        return result

    return serve


def _json(status: int, body: object) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )


def _summary(state: SandboxState) -> ControlHandler:
    """GET /sandbox: the addresses, and how much there is."""

    def handler(call: ControlCall) -> Reply:
        del call
        return Reply(
            data={
                "base_url": state.addresses.base_url,
                "webhook_key_url": state.addresses.webhook_key_url,
                "meetings": len(state.meetings.all()),
                "recordings": len(state.recordings.index),
                "breaches": state.rate_limiter.breaches,
                "counts": dict(sorted(state.request_log.counts.items())),
            }
        )

    return handler
