"""Responses below the level of the product's JSON: gateway errors, faults, broken connections."""

import asyncio
import socket
import struct
import zlib
from email.utils import formatdate
from typing import Final

import msgspec
from aiohttp import web

from recording_sandbox.model.faults import Fault

JSON = "application/json; charset=utf-8"
HANG_SECONDS = 3600.0

_EDGE_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>\n"


def json_response(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    """A response with a JSON body."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers={**(headers or {}), "Content-Type": JSON},
    )


def gateway_error(
    status: int, code: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """An error of Cloudflare's gateway, which has another envelope than the product."""
    errors = [{"code": code, "message": message}]
    body = {"success": False, "errors": errors, "messages": [], "result": None}
    return json_response(status, body, headers)


def rate_limited(seconds: int, headers: dict[str, str]) -> web.Response:
    """429: the client may send the next request after `seconds`."""
    text = "Please wait and consider throttling your request speed"
    return gateway_error(429, 971, text, {**headers, "Retry-After": str(seconds)})


def fault_response(fault: Fault, headers: dict[str, str], now: float) -> web.Response:
    """The refusal of a fault, in the fault's envelope, at `now` by the sandbox's clock."""
    if fault.retry_after is not None:
        headers = {**headers, "Retry-After": _retry_after(fault, now)}
    status, text = fault.status, fault.message or f"refused on purpose ({fault.status})"
    match fault.envelope:
        case "cloudflare":
            return gateway_error(status, fault.code or status, text, headers)
        case "message":
            return json_response(status, {"message": text}, headers)
        case "html":
            html = {**headers, "Content-Type": "text/html"}
            return web.Response(status=status, body=_EDGE_PAGE, headers=html)
        case "empty":
            return web.Response(status=status, headers=headers)
        case "realtimekit":
            error = {"code": fault.code or status, "message": text}
            return json_response(status, {"success": False, "error": error}, headers)


def _retry_after(fault: Fault, now: float) -> str:
    """Whole seconds if at least 1, or an HTTP date by the clock of the header `Date`."""
    seconds = fault.retry_after or 0.0
    if fault.retry_after_date:
        return formatdate(now + seconds, usegmt=True)
    return str(round(seconds)) if seconds >= 1 or seconds == 0 else str(seconds)


def reset_connection(request: web.Request) -> web.StreamResponse:
    """Close the connection so that the client gets a reset (RST), not an orderly end."""
    if request.transport is not None:
        raw = request.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=500)  # aiohttp needs a response; the client never gets it.


ODD_BODIES: Final = (
    b"",
    b"null",
    b"[]",
    b'"done"',
    b"<html></html>",
    b"\xff\xfe\x00{",
    b"[" * 5_000,
    b'{"success": true}',
    b'{"success": true, "data": null}',
    b'{"success": true, "data": "8a1f"}',
    b'{"success": true, "data": {"id": 7, "status": null}}',
    b'{"success": true, "data": {"id": "a\\u0000b", "status": {}}}',
)
"""Bodies of a success that do not show its result."""


async def lose_response(
    request: web.Request, status: int, body: bytes, fault: Fault
) -> web.StreamResponse:
    """Lose the response of a request that was processed, in the fault's way."""
    match fault.kind:
        case "lost_502":
            html = {"Content-Type": "text/html", "Server": "cloudflare"}
            return web.Response(status=502, body=_EDGE_PAGE, headers=html)
        case "lost_odd":
            odd = ODD_BODIES[zlib.crc32(body) % len(ODD_BODIES)]
            return web.Response(status=status, body=odd, headers={"Content-Type": JSON})
        case "lost_hang":
            await asyncio.sleep(HANG_SECONDS if fault.seconds is None else fault.seconds)
        case "lost_half":
            response = web.StreamResponse(status=status, headers={"Content-Type": JSON})
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
    return reset_connection(request)
