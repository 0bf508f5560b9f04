"""Sends the bytes of a file, with the faults that concern a body."""

import asyncio
from contextlib import suppress
from itertools import pairwise

from aiohttp import web

from recording_sandbox.api.ranges import WantedRange
from recording_sandbox.api.raw_responses import HANG_SECONDS, reset_connection
from recording_sandbox.model.faults import Fault
from recording_sandbox.model.file_content import FileContent

_SLOW_STEPS = 20


async def send_body(
    request: web.Request,
    response: web.StreamResponse,
    content: FileContent,
    wanted: WantedRange,
    fault: Fault | None,
) -> web.StreamResponse:
    """Send the requested bytes; with a fault only half of them, or slowly. The client may
    disconnect."""
    with suppress(ConnectionError):
        return await _send_all(request, response, content, wanted, fault)
    return response


async def _send_all(
    request: web.Request,
    response: web.StreamResponse,
    content: FileContent,
    wanted: WantedRange,
    fault: Fault | None,
) -> web.StreamResponse:
    await response.prepare(request)
    length = wanted.stop - wanted.start
    kind = fault.kind if fault else None
    if fault and kind == "download_slow":
        await _send_slowly(
            response, content, wanted, 1.0 if fault.seconds is None else fault.seconds
        )
    else:
        stop = wanted.stop if fault is None else wanted.start + length // 2
        await _send(response, content, wanted.start, stop)
    if fault and kind == "download_stall":
        await asyncio.sleep(HANG_SECONDS if fault.seconds is None else fault.seconds)
        await _send(response, content, wanted.start + length // 2, wanted.stop)
    if kind == "download_reset":
        return reset_connection(request)
    if kind == "download_truncate" and request.transport is not None:
        request.transport.close()
        return response
    await response.write_eof()
    return response


async def _send(response: web.StreamResponse, content: FileContent, start: int, stop: int) -> None:
    for chunk in content.chunks(start, stop):
        await response.write(chunk)


async def _send_slowly(
    response: web.StreamResponse, content: FileContent, wanted: WantedRange, seconds: float
) -> None:
    """Send equal parts with equal pauses, which add up to `seconds`."""
    length = wanted.stop - wanted.start
    places = [wanted.start + length * step // _SLOW_STEPS for step in range(_SLOW_STEPS + 1)]
    for start, stop in pairwise(places):
        await _send(response, content, start, stop)
        await asyncio.sleep(seconds / _SLOW_STEPS)
