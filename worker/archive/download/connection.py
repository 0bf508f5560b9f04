"""One HTTP/1.1 connection that carries one request and streams its response.

The parser is llhttp, that of Node.js, through httptools. A body of known length does
not pass it: the socket writes into the buffers that are uploaded.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NamedTuple, cast

import httptools
import httpx

from worker.archive.download.body_buffer import BufferedBody, ParsedBody

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BYTES_WITHOUT_BODY: Final = 1024 * 1024
"""The limit of a header that never ends, because the parser itself would keep all of it."""
PAUSE_AT_BYTES: Final = 2 * 1024 * 1024
"""With this much of a body waiting, nothing more is read from the connection."""
MIN_PIECE_BYTES: Final = 256 * 1024
"""A piece of a body of known length has this size, unless it is the last one."""

_SCRATCH_BYTES: Final = 64 * 1024
_INFORMATIONAL = range(100, 200)


class ResponseHead(NamedTuple):
    """Status and headers of a response."""

    status: int
    headers: list[tuple[bytes, bytes]]


class StreamConnection(asyncio.BufferedProtocol):
    """Sends a request, then returns the head of its response, then its body in pieces."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[ResponseHead] = asyncio.get_running_loop().create_future()
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._bytes_without_body = 0
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._parsed = ParsedBody()
        self._buffered: BufferedBody | None = None
        self._paused = False
        self._arrived = asyncio.Event()
        self._complete = False
        self._error: httpx.TransportError | None = None

    async def request(self, request: bytes) -> ResponseHead:
        """Send a request and return the head of its response. Raises httpx.TransportError."""
        self._transport.write(request)
        return await self._head

    async def body(self) -> AsyncIterator[bytes | memoryview]:
        """The pieces of the body. Raises httpx.TransportError if it is incomplete."""
        while True:
            body = self._buffered or self._parsed
            while body.waiting >= self._least_piece():
                yield body.take()
                self._resume(body.waiting)
            if self._complete:
                return
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()

    def _least_piece(self) -> int:
        """The end may come while a piece is in use. Then the remaining bytes follow at once."""
        is_over = self._complete or self._error is not None
        return MIN_PIECE_BYTES if self._buffered and not is_over else 1

    def close(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _resume(self, waiting: int) -> None:
        if self._paused and waiting < PAUSE_AT_BYTES // 2 and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _pause(self, waiting: int) -> None:
        if not self._paused and waiting >= PAUSE_AT_BYTES and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the open connection."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes of the connection are written."""
        if self._buffered is None or self._complete:
            return self._scratch
        return self._buffered.free()

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes that were written to the buffer."""
        if self._buffered is None:
            self._parse(self._scratch[:nbytes])
            self._pause(self._parsed.waiting)
        elif not self._complete:
            self._buffered.received(nbytes)
            self._note_buffered(self._buffered)
            self._pause(self._buffered.waiting)

    def _parse(self, data: memoryview) -> None:
        self._bytes_without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("the data received is no HTTP response"))
            return
        is_large = self._bytes_without_body > MAX_BYTES_WITHOUT_BODY
        if is_large or self._head_bytes > MAX_HEAD_BYTES:
            self._fail(httpx.RemoteProtocolError("the headers of the response are too large"))
        elif self._head.done() and not self._complete:
            self._stop_parsing()

    def _stop_parsing(self) -> None:
        """Receive the rest of a body of known length without the parser."""
        length = _body_length(self._parser.get_status_code(), self._headers)
        if length is None:
            return
        self._buffered = BufferedBody(length)
        while self._parsed.waiting:
            self._buffered.write(self._parsed.take())
        self._note_buffered(self._buffered)

    def _note_buffered(self, body: BufferedBody) -> None:
        if body.is_complete:
            self.on_message_complete()
        elif body.waiting >= MIN_PIECE_BYTES:
            self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End an incomplete body. Without a length it may be incomplete."""
        self._fail(httpx.ReadError("the connection was closed before the end of the response"))

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name, value))
        self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """Pass the head to the caller, unless the response is only informational."""
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL or self._head.done():
            self._headers = []
        elif self._head_bytes <= MAX_HEAD_BYTES:
            self._head.set_result(ResponseHead(status, self._headers))

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._bytes_without_body = 0
        self._parsed.append(piece)
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


def _body_length(status: int, headers: list[tuple[bytes, bytes]]) -> int | None:
    """The length of a body that is neither chunked nor ends with the connection."""
    fields = [(name.lower(), value.strip()) for name, value in headers]
    lengths = [value for name, value in fields if name == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in fields)
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT) or chunked or len(lengths) != 1:
        return None
    return int(lengths[0]) if lengths[0].isdigit() and len(lengths[0]) < 20 else None
