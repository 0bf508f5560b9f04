"""One HTTP/1.1 connection to the API, which carries one request after another.

The parser is llhttp, that of Node.js, through httptools.
"""

import asyncio
from typing import Final, NamedTuple, cast

import httptools
import httpx

MAX_RESPONSE_BYTES: Final = 8 * 1024 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024

_INFORMATIONAL = range(100, 200)

NO_HTTP_RESPONSE: Final = "the data received is no HTTP response"


class ResponseTooLarge(httpx.HTTPError):
    """A response that was not read to its end, because it exceeds `MAX_RESPONSE_BYTES`."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the response is larger than {MAX_RESPONSE_BYTES} bytes")
        self.status = status


class RawResponse(NamedTuple):
    """A whole response as received: the body is still compressed if the headers say so."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class HttpProtocol(asyncio.Protocol):
    """Sends a request and collects its response. Anything unexpected closes the connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._response: asyncio.Future[RawResponse] | None = None
        self._keep_alive = True
        self._received = 0
        self.opened_at = 0.0
        """When the connection was opened, by the clock of the event loop."""
        self._reset_response()

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._keep_alive and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> RawResponse:
        """Send a request and return its response. One request at a time.

        Raises httpx's ConnectError when nothing was sent. Raises ResponseTooLarge, httpx's
        ReadError or RemoteProtocolError when the request may have been executed. If the caller is
        cancelled, the connection is closed.
        """
        if self._transport is None or not self.is_usable:
            raise httpx.ConnectError("the connection was closed before the request was sent")
        self._response = asyncio.get_running_loop().create_future()
        self._received = 0
        self._transport.write(request)
        try:
            return await self._response
        finally:
            if not self._response.done() or self._response.cancelled():
                self.close()
            self._response = None

    def close(self) -> None:
        """Close the connection at once."""
        self._keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the open connection."""
        self._transport = cast("asyncio.Transport", transport)
        self.opened_at = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        """Parse a part of a response."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(httpx.RemoteProtocolError(NO_HTTP_RESPONSE))
            return
        max_received = MAX_RESPONSE_BYTES + MAX_HEAD_BYTES
        if self._received > max_received or self._body_size > MAX_RESPONSE_BYTES:
            self._fail(ResponseTooLarge(self._parser.get_status_code()))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the response. A response without a length ends with the connection."""
        self._keep_alive = False
        if exc is None and self._has_headers and not self._has_length:
            self._complete()
        self._fail(httpx.ReadError("the connection was closed"))

    # Called by the parser

    def on_message_begin(self) -> None:
        """Begin a response. A response without a request closes the connection."""
        if self._response is None or self._response.done():
            self.close()
        self._reset_response()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._headers.append((name, value))
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._has_length = True

    def on_headers_complete(self) -> None:
        """Note the end of the headers, unless the response is only informational."""
        self._has_headers = self._parser.get_status_code() not in _INFORMATIONAL

    def on_body(self, chunk: bytes) -> None:
        """Collect a part of the body."""
        self._body.append(chunk)
        self._body_size += len(chunk)

    def on_message_complete(self) -> None:
        """Complete the response, unless it is only informational."""
        if self._has_headers:
            self._keep_alive = self._keep_alive and self._parser.should_keep_alive()
            self._complete()

    def _reset_response(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size = 0
        self._has_length = self._has_headers = False

    def _complete(self) -> None:
        if self._response is not None and not self._response.done():
            status = self._parser.get_status_code()
            self._response.set_result(RawResponse(status, self._headers, b"".join(self._body)))
        self._reset_response()  # do not keep the body for as long as the connection

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)
