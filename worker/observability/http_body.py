"""Reads request bodies with limited time and memory, even if many arrive at once."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

BODY_TIMEOUT_SECONDS: Final = 5.0
"""The API waits no longer than this for the answer to a webhook."""

MAX_ARRIVING_BYTES: Final = 67_108_864


class BodyTooLarge(Exception):
    """The body is larger than the limit."""


class IncompleteBody(Exception):
    """The body did not arrive, or not in time. The text says which."""


@dataclass(eq=False)
class _ArrivingBody:
    data: bytearray = field(default_factory=bytearray)
    gave_way: bool = False


class BodyReader:
    """Reads bodies of at most `max_bytes`, each within `timeout` seconds.

    All bodies that arrive at the same time share MAX_ARRIVING_BYTES. Above that, the reader drops
    the largest of them, so that small ones always arrive.
    """

    def __init__(self, *, max_bytes: int, timeout: float) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._arriving: set[_ArrivingBody] = set()

    async def read(self, request: web.Request) -> bytes:
        """The body's bytes as sent.

        Raises:
            BodyTooLarge: it has more than `max_bytes`, by its length or by its bytes.
            IncompleteBody: it did not arrive in time, broke off, or was dropped for others.
        """
        if (request.content_length or 0) > self._max_bytes:
            raise BodyTooLarge
        body = _ArrivingBody()
        self._arriving.add(body)
        try:
            async with asyncio.timeout(self._timeout):
                await self._fill(body, request)
        except TimeoutError:
            raise IncompleteBody("the body did not arrive in time") from None
        except (web.RequestPayloadError, OSError):
            raise IncompleteBody("the body did not arrive completely") from None
        finally:
            self._arriving.discard(body)
        return bytes(body.data)

    async def _fill(self, body: _ArrivingBody, request: web.Request) -> None:
        async for chunk in request.content.iter_any():
            body.data += chunk
            if len(body.data) > self._max_bytes:
                raise BodyTooLarge
            self._make_room()
            if body.gave_way:
                break
        if body.gave_way:
            raise IncompleteBody("too many bytes of bodies arrive at once")

    def _make_room(self) -> None:
        if sum(len(body.data) for body in self._arriving) > MAX_ARRIVING_BYTES:
            largest = max(self._arriving, key=lambda body: len(body.data))
            largest.gave_way = True
            largest.data = bytearray()
