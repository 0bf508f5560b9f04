"""Puts the parts of the console together, and serves until `stop` is set."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import Any, Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from recording_schemas import CloudEvent
from worker.aio import cancel_all
from worker.broker.topology import Topology
from worker.cli.status.sources import local_url
from worker.console import views
from worker.console.access import COOKIE, SESSION_SECONDS, Access
from worker.console.action_routes import ActionRoutes
from worker.console.actions import Actions
from worker.console.broker_watch import COUNT_INTERVAL_SECONDS, BrokerState, BrokerWatch
from worker.console.dead_letters import DeadLetters
from worker.console.live_stream import LiveStream
from worker.console.peers import Network, Peers
from worker.console.read_routes import ReadRoutes, json_of, json_response
from worker.console.snapshots import Snapshots
from worker.console.state import ConsoleState
from worker.console.static_files import static_routes
from worker.console.worker_probe import WorkerProbe
from worker.observability.http_server import HttpServer
from worker.settings.settings import ConsoleSettings
from worker.store.admin.state_reader import StateReader

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES: Final = 65_536
SECURITY_HEADERS: Final = {
    # Only our own scripts, styles and requests; no frame around us; no text becomes HTML.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
OPEN_PATHS: Final = ("/static/", "/livez", "/readyz", "/metrics", "/api/session", "/api/login")
"""Paths that are readable without the token, also from other machines: they show no state."""


class ConsoleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen. `allowed_hosts` are further names under which the page may be opened.

    `trusted_proxies` name the address of a browser in X-Forwarded-For. `worker_url` is where a
    worker answers, None: as HTTP_HOST and HTTP_PORT say. The queues are counted at most every
    `count_interval_seconds`.
    """

    host: str
    port: int
    is_public: bool
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    worker_url: str | None = None
    count_interval_seconds: float = COUNT_INTERVAL_SECONDS


class Console:
    """One console: `run` it once."""

    def __init__(
        self, settings: ConsoleSettings, topology: Topology, options: ConsoleOptions
    ) -> None:
        self._settings = settings
        self._options = options
        self._access = Access(
            token=settings.console_token,
            allowed_hosts=(options.host, *options.allowed_hosts),
            is_public=options.is_public,
            peers=Peers(options.trusted_proxies),
        )
        url = settings.database_url
        reader = StateReader(url.reveal(), pooler=settings.database_pooler, current_url=url.reveal)
        self._state = ConsoleState(reader)
        self._stream = LiveStream()
        self._broker = BrokerWatch(
            settings.amqp_url,
            topology,
            on_event=self._on_event,
            on_state=self._on_broker,
            count_interval_seconds=options.count_interval_seconds,
        )
        self._snapshots = Snapshots(
            self._state,
            self._stream.watched,
            queues=self._broker.recent_queues,
            worker=WorkerProbe(options.worker_url or local_url(settings)),
            on_snapshot=lambda snapshot: self._stream.send("now", snapshot),
        )

    async def run(self, stop: asyncio.Event, listening: Callable[[int], None]) -> None:
        """Serve until `stop` is set. `listening` gets the port. Raises CannotListen."""
        async with AsyncExitStack() as resources:
            resources.callback(self._state.close)
            server = self._server()
            resources.push_async_callback(server.stop)
            resources.callback(self._stream.close)
            listening(await server.start())
            tasks = [
                asyncio.create_task(self._broker.run(), name="console-broker"),
                asyncio.create_task(self._snapshots.run(), name="console-snapshots"),
            ]
            resources.push_async_callback(cancel_all, tasks)
            stopping = asyncio.create_task(stop.wait(), name="console-stop")
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()

    def _server(self) -> HttpServer:
        return HttpServer(
            self._options.host,
            self._options.port,
            checks_live={},
            checks_ready={"state": lambda: self._state.unavailable_reason},
            registry=CollectorRegistry(),
            extra_routes=[
                *static_routes(),
                *ReadRoutes(self._state).routes(),
                *self._action_routes().routes(),
                web.get("/api/session", json_of(self._session)),
                web.get("/api/now", json_of(self._now)),
                web.get("/api/stream", self._stream.serve),
                web.post("/api/login", self._log_in),
                web.post("/api/logout", self._log_out),
            ],
            max_body_bytes=MAX_BODY_BYTES,
            middlewares=[self._guard()],
            on_prepare=[_add_security_headers],
        )

    def _action_routes(self) -> ActionRoutes:
        letters = DeadLetters(self._settings)
        return ActionRoutes(self._access, letters, Actions(self._settings, self._state, letters))

    def _guard(self) -> Any:  # noqa: ANN401 - aiohttp has no public name for it
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._access.check_request(request)
            is_data = request.path.startswith("/api/") and not request.path.startswith(OPEN_PATHS)
            if is_data and not self._access.may_read(request):
                raise web.HTTPUnauthorized(reason="log in with the token first")
            return await handler(request)

        return guard

    # Routes of the server itself

    async def _session(self, request: web.Request) -> dict[str, Any]:
        may_read = self._access.may_read(request)
        return {
            "may_read": may_read,
            "may_act": self._access.may_act(request),
            "has_token": self._access.has_token,
            "version": version("recording-worker") if may_read else None,
            "trace_url": self._settings.console_trace_url if may_read else None,
        }

    async def _now(self, _request: web.Request) -> dict[str, Any]:
        return {**await self._snapshots.latest(), "broker": self._broker.state}

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        token = _field(await request.read(), "token")
        session_id = self._access.log_in(token, address=self._access.address(request))
        response = json_response({"ok": True})
        response.set_cookie(
            COOKIE,
            session_id,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="Strict",
            path="/",
            secure=request.headers.get("Origin", "").startswith("https://"),
        )
        return response

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self._access.log_out(request)
        response = json_response({"ok": True})
        response.del_cookie(COOKIE, path="/")
        return response

    # What arrives

    def _on_event(self, event: CloudEvent) -> None:
        self._stream.send("event", views.feed_entry(event), keep="recent")

    def _on_broker(self, state: BrokerState) -> None:
        self._stream.send("broker", state, keep="latest")


def _field(body: bytes, name: str) -> str:
    try:
        return msgspec.json.decode(body, type=dict[str, str])[name]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        raise web.HTTPBadRequest(reason=f"{name}: is missing") from None


async def _add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
