"""One connection to the API, on which one request after the other is answered: HTTP/1.1.

The parser is llhttp, that of Node.js, through httptools.
"""

import asyncio
from typing import NamedTuple, cast

import httptools
import httpx

LARGEST_ANSWER = 8 * 1024 * 1024
_LARGEST_HEAD = 64 * 1024
_INFORMATIONAL = range(100, 200)


class TooLarge(httpx.HTTPError):
    """An answer that is not read to its end: it is larger than `LARGEST_ANSWER`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the answer is larger than {LARGEST_ANSWER} bytes")
        self.status = status


class Told(NamedTuple):
    """A whole answer as it came, its body still packed if its headers say so."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class HttpProtocol(asyncio.Protocol):
    """Sends a request and collects its answer. After anything unexpected it is closed."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Told] | None = None
        self._keep = True
        self._received = 0
        self._begin()

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self._keep and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Told:
        """The answer to a request. One at a time.

        Raises httpx's ConnectError when nothing was sent, else `TooLarge`, ReadError or
        RemoteProtocolError: the request may have been executed. Once cancelled, the connection is
        of no use any more.
        """
        if self._transport is None or not self.usable:
            raise httpx.ConnectError("the connection was closed before the request was sent")
        self._waiting = asyncio.get_running_loop().create_future()
        self._received = 0
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            if not self._waiting.done() or self._waiting.cancelled():
                self.close()
            self._waiting = None

    def close(self) -> None:
        """Let go of it at once."""
        self._keep = False
        if self._transport is not None:
            self._transport.abort()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer came."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError("what came is no HTTP answer"))
            return
        if self._received > LARGEST_ANSWER + _LARGEST_HEAD or self._size > LARGEST_ANSWER:
            self._fail(TooLarge(self._parser.get_status_code()))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed. An answer may end with that, if it does not say how long it is."""
        self._keep = False
        if exc is None and self._is_headed and not self._is_framed:
            self._complete()
        self._fail(httpx.ReadError("the connection was closed"))

    # What the parser tells

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._waiting is None or self._waiting.done():
            self.close()  # nobody has asked for it: whose would it be?
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of it."""
        self._headers.append((name, value))
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._is_framed = True

    def on_headers_complete(self) -> None:
        """All its headers are there."""
        self._is_headed = self._parser.get_status_code() not in _INFORMATIONAL

    def on_body(self, piece: bytes) -> None:
        """A piece of its body."""
        self._body.append(piece)
        self._size += len(piece)

    def on_message_complete(self) -> None:
        """It is whole."""
        if self._is_headed:
            self._keep = self._keep and self._parser.should_keep_alive()
            self._complete()

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._is_framed = self._is_headed = False

    def _complete(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            status = self._parser.get_status_code()
            self._waiting.set_result(Told(status, self._headers, b"".join(self._body)))
        self._begin()  # what was told is not told again, nor kept for as long as the connection

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
