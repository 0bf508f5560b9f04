"""Probes, metrics, and whatever routes the caller adds: answers in JSON, small in all ways."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], str | None]
"""None when all is well, else the reason why not. Must not block."""

MAX_BODY_BYTES: Final = 1_048_576
MAX_HEADER_BYTES: Final = 8_192
SHUTDOWN_SECONDS: Final = 5.0


class HttpServer:
    """Serves `GET /livez`, `GET /readyz`, `GET /metrics` and `extra_routes` from start to stop.

    A probe is 200 when all its checks are well, else 503; its body tells each check and the
    reason. Of `checks_any`, which readiness tells too, one that is well suffices. Request bodies
    are bounded by `max_body_bytes` (413 above), headers by 8 KiB each.
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
    ) -> None:
        self._host = host
        self._port = port
        app = web.Application(middlewares=[_errors_in_json], client_max_size=max_body_bytes)
        app.add_routes(
            [
                web.get("/livez", _probe(checks_live)),
                web.get("/readyz", _probe(checks_ready, checks_any or {})),
                web.get("/metrics", _metrics(registry)),
                *extra_routes,
            ]
        )
        app.on_response_prepare.append(_say_no_more_than_needed)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            shutdown_timeout=SHUTDOWN_SECONDS,
            auto_decompress=False,  # signed are the bytes as sent, and a small body stays small
        )

    async def start(self) -> int:
        """Listen; returns the port, which matters when it was 0.

        Raises:
            OSError: when the address is taken or not ours.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Take no more, let running requests finish for a few seconds. May be called again."""
        await self._runner.cleanup()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _probe(checks: Mapping[str, Check], any_of: Mapping[str, Check] | None = None) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        needed = {name: check() for name, check in checks.items()}
        enough = {name: check() for name, check in (any_of or {}).items()}
        reasons = needed | enough
        well = all(why is None for why in needed.values())
        well = well and (not enough or None in enough.values())
        told = {name: {"ok": why is None, "why": why} for name, why in reasons.items()}
        return _json(200 if well else 503, {"ok": well, "checks": told})

    return answer


def _metrics(registry: CollectorRegistry) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
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


async def _say_no_more_than_needed(_request: web.Request, response: web.StreamResponse) -> None:
    # By default aiohttp tells everybody its version and Python's.
    response.headers["Server"] = "recording-worker"
