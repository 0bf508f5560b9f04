"""One HTTP/1.1 connection that carries one request and streams its response.

The parser is llhttp, that of Node.js, through httptools.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, NamedTuple, cast

import httptools
import httpx

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BYTES_WITHOUT_BODY: Final = 1024 * 1024
"""A header that never ends is bounded too: the parser itself would keep all of it."""
PAUSE_AT_BYTES: Final = 2 * 1024 * 1024
"""With this much of a body not yet taken, nothing more is read from the connection."""

_INFORMATIONAL = range(100, 200)


class ResponseHead(NamedTuple):
    """Status and headers of a response."""

    status: int
    headers: list[tuple[bytes, bytes]]


class StreamConnection(asyncio.Protocol):
    """Sends a request, then gives the head of its response, then its body in pieces."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[ResponseHead] = asyncio.get_running_loop().create_future()
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._bytes_without_body = 0
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._arrived = asyncio.Event()
        self._complete = False
        self._error: httpx.TransportError | None = None

    async def request(self, request: bytes) -> ResponseHead:
        """Send a request and return the head of its response. Raises httpx.TransportError."""
        self._transport.write(request)
        return await self._head

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces of the body. Raises httpx.TransportError if it is not whole."""
        while True:
            while self._pieces:
                yield self._take()
            if self._complete:
                return
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()

    def close(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._waiting -= len(piece)
        if (
            self._paused
            and self._waiting < PAUSE_AT_BYTES // 2
            and not self._transport.is_closing()
        ):
            self._paused = False
            self._transport.resume_reading()
        return piece

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the open connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse a part of a response."""
        self._bytes_without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("the data received is no HTTP response"))
            return
        is_large = self._bytes_without_body > MAX_BYTES_WITHOUT_BODY
        if is_large or self._head_bytes > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError("the headers of the response are too large"))
        if (
            self._waiting >= PAUSE_AT_BYTES
            and not self._paused
            and not self._transport.is_closing()
        ):
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a body that is not whole. A body without a length cannot be known to be whole."""
        self._fail(httpx.ReadError("the connection was closed before the end of the response"))

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Give the head to the caller, unless the response is only informational."""
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL or self._head.done():
            self._headers = []
        elif self._head_bytes <= MAX_HEAD_BYTES:
            self._head.set_result(ResponseHead(status, self._headers))

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._bytes_without_body = 0
        self._pieces.append(piece)
        self._waiting += len(piece)
        self._arrived.set()

    def on_message_complete(self) -> None:
        """Note the end of the body, unless the response is only informational."""
        if self._head.done():
            self._complete = True
            self._arrived.set()
            self.close()

    def _fail(self, error: httpx.TransportError) -> None:
        self.close()
        if not self._head.done():
            self._head.set_exception(error)
            self._head.exception()  # the caller may have been cancelled
        elif not self._complete and self._error is None:
            self._error = error
        self._arrived.set()
