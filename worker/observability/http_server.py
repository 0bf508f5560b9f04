"""Serves probes, metrics and the caller's routes.

Answers are JSON, except for metrics. The size and time of requests and the number of connections
are limited.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from worker.observability.http_connections import ConnectionGuard, ConnectionLimits
from worker.observability.http_errors import RequestErrorLog
from worker.observability.listening import listen_on

STOPPING_CHECK: Final = "stopping"
"""The name of the readiness check that fails while the process stops."""

Check = Callable[[], str | None]
"""Returns None if the check passes, else the reason. Must not block."""

Prepare = Callable[[web.Request, web.StreamResponse], Awaitable[None]]
"""Changes the headers of a response before they are sent."""

MAX_BODY_BYTES: Final = 1_048_576
MAX_HEADER_BYTES: Final = 8_192
SHUTDOWN_TIMEOUT_SECONDS: Final = 5.0
DEFAULT_LIMITS: Final = ConnectionLimits()


class CannotListen(OSError):
    """The server cannot listen on the address. `strerror` says why."""


class HttpServer:
    """Serves `GET /livez`, `GET /readyz`, `GET /metrics` and `extra_routes` from start to stop.

    A probe answers 200 if all its checks return None, else 503. Its body lists each check with the
    reason. Readiness also lists `checks_any`: it is enough if one of these returns None. A request
    body above `max_body_bytes` gets 413. Each header may have 8 KiB. `limits` bounds the
    connections and their times. `middlewares` are aiohttp's, for every route. `on_prepare` may
    add headers to every response.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        checks_live: Mapping[str, Check],
        checks_ready: Mapping[str, Check],
        checks_any: Mapping[str, Check] | None = None,
        registry: CollectorRegistry,
        extra_routes: Iterable[web.RouteDef] = (),
        max_body_bytes: int = MAX_BODY_BYTES,
        limits: ConnectionLimits = DEFAULT_LIMITS,
        middlewares: Iterable[Any] = (),
        on_prepare: Iterable[Prepare] = (),
    ) -> None:
        self._host = host
        self._port = port
        self._checks_ready = dict(checks_ready)
        guard = ConnectionGuard(limits)
        app = web.Application(
            middlewares=[_guarding(guard), _errors_in_json, *middlewares],
            client_max_size=max_body_bytes,
        )
        app.add_routes(
            [
                web.get("/livez", _probe(checks_live)),
                web.get("/readyz", _probe(self._checks_ready, checks_any or {})),
                web.get("/metrics", _metrics(registry)),
                *extra_routes,
            ]
        )
        app.on_response_prepare.extend([_hide_versions, self._close_if_stopping, *on_prepare])
        self._runner = _GuardedRunner(
            app,
            guard,
            access_log=None,
            logger=RequestErrorLog(),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            shutdown_timeout=SHUTDOWN_TIMEOUT_SECONDS,
            auto_decompress=False,  # webhooks sign the bytes as sent; a small body cannot grow
        )

    async def start(self) -> int:
        """Listen. Returns the port, which the system chose if it was 0.

        Raises:
            CannotListen: the address is in use or does not belong to this machine, for example.
        """
        await self._runner.setup()
        try:
            for listening in await listen_on(self._host, self._port):
                await web.SockSite(self._runner, listening).start()
        except OSError as error:
            await self._runner.cleanup()
            raise CannotListen(error.errno, error.strerror or str(error)) from error
        port: int = self._runner.addresses[0][1]
        return port

    def announce_stop(self) -> None:
        """From now on readiness fails, and each response closes its connection. All requests are
        still served. So load balancers go to other replicas before this one refuses connections."""
        self._checks_ready[STOPPING_CHECK] = lambda: "the worker is stopping"

    async def _close_if_stopping(self, _request: web.Request, response: web.StreamResponse) -> None:
        if STOPPING_CHECK in self._checks_ready:
            response.headers["Connection"] = "close"
            response.force_close()

    async def stop(self) -> None:
        """Refuse new requests and let running ones finish for 5 s. May be called repeatedly."""
        await self._runner.cleanup()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _GuardedRunner(web.AppRunner):
    """Gives each new connection to the guard."""

    __slots__ = ("_guard",)

    def __init__(self, app: web.Application, guard: ConnectionGuard, **options: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(app, **options)
        self._guard = guard

    @property
    def server(self) -> Any:  # noqa: ANN401 - sites only call it to make a protocol
        """Makes the protocol of a new connection. None before the set-up."""
        make = super().server
        return None if make is None else lambda: self._guard.wrap(make())


def _guarding(guard: ConnectionGuard) -> Any:  # noqa: ANN401 - aiohttp has no public name for it
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        protocol = request.protocol
        guard.begin(protocol)
        request.content.on_eof(lambda: guard.arrived(protocol))  # at once without a body
        try:
            return await handler(request)
        finally:
            guard.end(protocol)

    return guarded


def _probe(checks: Mapping[str, Check], checks_any: Mapping[str, Check] | None = None) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        all_of = {name: check() for name, check in checks.items()}
        any_of = {name: check() for name, check in (checks_any or {}).items()}
        is_ok = all(reason is None for reason in all_of.values())
        is_ok = is_ok and (not any_of or None in any_of.values())
        results = {
            name: {"ok": reason is None, "reason": reason}
            for name, reason in (all_of | any_of).items()
        }
        return _json(200 if is_ok else 503, {"ok": is_ok, "checks": results})

    return answer


def _metrics(registry: CollectorRegistry) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except (TypeError, ValueError):  # the URL path names a version that does not exist
            encode, content_type = choose_encoder("")
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return answer


@web.middleware
async def _errors_in_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _json(error.status, {"error": error.reason}, allow)


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers=headers,
    )


async def _hide_versions(_request: web.Request, response: web.StreamResponse) -> None:
    # By default aiohttp names its own version and Python's.
    response.headers["Server"] = "recording-worker"
