"""What goes over the wire when the API says no, and when its answer never arrives."""

import asyncio
import socket
import struct
import time
from email.utils import formatdate

import msgspec
from aiohttp import web

from sandbox.model.faults import Fault

JSON = "application/json; charset=utf-8"
_EDGE_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>\n"


def json_response(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers={**(headers or {}), "Content-Type": JSON},
    )


def gateway_error(
    status: int, code: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """An error in the envelope of what stands before the product."""
    errors = [{"code": code, "message": message}]
    body = {"success": False, "errors": errors, "messages": [], "result": None}
    return json_response(status, body, headers)


def rate_limited(wait: int, headers: dict[str, str]) -> web.Response:
    """The budget is spent: come back after `wait` seconds."""
    text = "Please wait and consider throttling your request speed"
    return gateway_error(429, 971, text, {**headers, "Retry-After": str(wait)})


def _retry_after(fault: Fault) -> str:
    """In whole seconds, or as an HTTP date by the machine's clock, which is the client's."""
    seconds = fault.retry_after or 0.0
    if fault.retry_after_date:
        return formatdate(time.time() + seconds, usegmt=True)
    return str(round(seconds)) if seconds >= 1 or seconds == 0 else str(seconds)


def fault_response(fault: Fault, headers: dict[str, str]) -> web.Response:
    """The refusal that the fault asks for, in the envelope it asks for."""
    if fault.retry_after is not None:
        headers = {**headers, "Retry-After": _retry_after(fault)}
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


def reset_connection(request: web.Request) -> web.StreamResponse:
    """Cut the connection so that the client sees a reset, not a polite end."""
    if request.transport is not None:
        raw = request.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=500)  # Nobody is left to read it.


async def lose_response(
    request: web.Request, status: int, body: bytes, fault: Fault
) -> web.StreamResponse:
    """The request was processed, but its answer does not arrive."""
    match fault.kind:
        case "lost_502":
            html = {"Content-Type": "text/html", "Server": "cloudflare"}
            return web.Response(status=502, body=_EDGE_PAGE, headers=html)
        case "lost_hang":
            await asyncio.sleep(3600.0 if fault.seconds is None else fault.seconds)
        case "lost_half":
            response = web.StreamResponse(status=status, headers={"Content-Type": JSON})
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
    return reset_connection(request)
