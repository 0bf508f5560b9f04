"""Sends messages to the connected browsers, as server-sent events.

The number of browsers is limited, and so are the messages that wait for each of them. A browser
that reads too slowly loses messages. Then it gets one that makes it read everything again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Literal

import msgspec
from aiohttp import web

MAX_CLIENTS: Final = 50
MAX_WAITING: Final = 500
MAX_RECENT: Final = 60
"""How many of the last events a browser gets first."""

PING_SECONDS: Final = 15.0
MAX_BATCH: Final = 100


class _Client:
    """The messages that wait for one browser."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.arrived = asyncio.Event()

    def add(self, message: bytes) -> None:
        if len(self.waiting) >= MAX_WAITING:
            self.waiting.clear()
            self.waiting.append(_message("reload", None))
        self.waiting.append(message)
        self.arrived.set()


class LiveStream:
    """The connected browsers. `watched` is set while there is one."""

    def __init__(self) -> None:
        self.watched = asyncio.Event()
        self._clients: set[_Client] = set()
        self._recent: deque[bytes] = deque(maxlen=MAX_RECENT)
        self._latest: dict[str, bytes] = {}
        self._is_closed = False

    def send(
        self, name: str, value: object, *, keep: Literal["recent", "latest"] | None = None
    ) -> None:
        """Send a message to every browser.

        Later browsers first get those of `recent`, and of each name the last one of `latest`.
        """
        if not (self._clients or keep):
            return
        message = _message(name, value)
        if keep == "recent":
            self._recent.append(message)
        elif keep == "latest":
            self._latest[name] = message
        for client in self._clients:
            client.add(message)

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._is_closed = True
        for client in self._clients:
            client.arrived.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request with the stream, until the browser leaves.

        Raises HTTPServiceUnavailable when too many browsers listen.
        """
        with self._joined() as client:
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
            )
            await response.prepare(request)
            async with _quiet_when_gone():
                await response.write(b"retry: 2000\n\n")
                async for batch in self._batches(client):
                    await response.write(batch)
            return response

    @contextmanager
    def _joined(self) -> Iterator[_Client]:
        if len(self._clients) >= MAX_CLIENTS:
            raise web.HTTPServiceUnavailable(reason=f"{MAX_CLIENTS} browsers listen already")
        client = _Client()
        client.waiting.extend((*self._latest.values(), *self._recent))
        client.arrived.set()
        self._clients.add(client)
        self.watched.set()
        try:
            yield client
        finally:
            self._clients.discard(client)
            if not self._clients:
                self.watched.clear()

    async def _batches(self, client: _Client) -> AsyncIterator[bytes]:
        while not self._is_closed:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await client.arrived.wait()
            except TimeoutError:
                yield b": ping\n\n"
                continue
            count = min(len(client.waiting), MAX_BATCH)
            batch = b"".join(client.waiting.popleft() for _ in range(count))
            if not client.waiting:
                client.arrived.clear()
            if batch:
                yield batch


@asynccontextmanager
async def _quiet_when_gone() -> AsyncIterator[None]:
    """It is not an error when a browser closes its page."""
    try:
        yield
    except ConnectionError:
        return


def _message(name: str, value: object) -> bytes:
    # JSON contains no line ends, so it is one line of data.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))
