"""An httpx transport over connections that are kept open.

httpx's own pool spends more on each request the more requests are in flight. The client of aiohttp
does much that is not needed here (cookies, redirects, proxies, sessions). The figures are in
docs/adr/0017-a-transport-of-our-own-under-httpx.md.
"""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import aiohappyeyeballs
import httpx

from worker.realtimekit.http.name_lookups import NameLookups
from worker.realtimekit.http.protocol import HttpProtocol
from worker.realtimekit.urls import DEFAULT_PORTS
from worker.settings.trusted_authorities import tls_context

MAX_CONNECTIONS: Final = 500

IDLE_TIMEOUT_SECONDS: Final = 15.0
"""A connection that was unused for this long is closed: the API may be about to close it, too."""

LIFETIME_SECONDS: Final = 60.0
"""A connection is used for this long. So a change of the host's addresses counts after a minute,
even if requests never pause and the old address still answers, for example with 503."""

HAPPY_EYEBALLS_DELAY_SECONDS: Final = 0.25
"""After this long without an answer from one address of a host, the next one is tried in
parallel."""

CHUNK_BYTES: Final = 65_536

Origin = tuple[str, str, int]
"""Scheme, host and port."""


class _IdleConnection(NamedTuple):
    connection: HttpProtocol
    since: float


class HttpTransport(httpx.AsyncBaseTransport):
    """Sends requests to the hosts in their URLs. No redirects, no cookies, no proxy (`proxy.py`).

    A request's `timeout` extension bounds the wait for one of `MAX_CONNECTIONS` (`pool`, seconds)
    and connecting (`connect`). For the rest the caller has a deadline and cancels. Responses are
    collected whole. Raises ConnectError, ConnectTimeout and PoolTimeout when a request was
    certainly not sent; other errors of httpx and ResponseTooLarge when it may have been executed.
    """

    def __init__(
        self,
        *,
        idle_timeout_seconds: float = IDLE_TIMEOUT_SECONDS,
        lifetime_seconds: float = LIFETIME_SECONDS,
    ) -> None:
        # Longest unused first. The last one is used next, so those that only a burst needed age.
        self._idle: dict[Origin, deque[_IdleConnection]] = {}
        self._idle_timeout = idle_timeout_seconds
        self._lifetime = lifetime_seconds
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._names = NameLookups()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its whole response."""
        origin = _origin(request.url)
        content = b"".join([chunk async for chunk in _stream(request)])
        connection = await self._acquire(origin, request)
        try:
            raw = await connection.exchange(_serialize(request, content))
        finally:
            self._release(origin, connection)
        response = httpx.Response(raw.status, headers=raw.headers, stream=_Body(raw.body))
        response.headers.encoding = "iso-8859-1"  # else httpx decodes them all to find it out
        return response

    async def aclose(self) -> None:
        """Close every idle connection now, and every other one after its request."""
        self._closed = True
        for connections in self._idle.values():
            for idle in connections:
                idle.connection.close()
        self._idle.clear()

    async def _acquire(self, origin: Origin, request: httpx.Request) -> HttpProtocol:
        if not self._slots.locked() and (connection := self._take_idle(origin)):
            await self._slots.acquire()  # returns at once
            return connection
        limits = request.extensions.get("timeout", {})
        await self._acquire_slot(limits.get("pool"))
        try:
            async with asyncio.timeout(limits.get("connect")):
                return self._take_idle(origin) or await _connect(self._names, *origin)
        except TimeoutError as error:
            self._slots.release()
            message = f"no connection to {origin[1]}:{origin[2]} in time"
            raise httpx.ConnectTimeout(message) from error
        except BaseException:
            self._slots.release()
            raise

    async def _acquire_slot(self, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._slots.acquire()
        except TimeoutError as error:
            message = f"all {MAX_CONNECTIONS} connections are in use"
            raise httpx.PoolTimeout(message) from error

    def _take_idle(self, origin: Origin) -> HttpProtocol | None:
        connections = self._idle.get(origin)
        if not connections:
            return None
        self._close_unused(connections)
        while connections:
            connection = connections.pop().connection
            if connection.is_usable:
                return connection
            connection.close()
        return None

    def _close_unused(self, connections: deque[_IdleConnection]) -> None:
        """Close those that were unused for too long. They would hold files and memory."""
        idle_since = asyncio.get_running_loop().time() - self._idle_timeout
        while connections and connections[0].since < idle_since:
            connections.popleft().connection.close()

    def _release(self, origin: Origin, connection: HttpProtocol) -> None:
        self._slots.release()
        now = asyncio.get_running_loop().time()
        is_old = now - connection.opened_at > self._lifetime
        if connection.is_usable and not is_old and not self._closed:
            self._idle.setdefault(origin, deque()).append(_IdleConnection(connection, now))
        else:
            connection.close()


async def _connect(names: NameLookups, scheme: str, host: str, port: int) -> HttpProtocol:
    loop = asyncio.get_running_loop()
    try:
        addresses = await names.look_up(host, port)
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_SECONDS
        )
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = scheme == "https"
        _, connection = await loop.create_connection(
            HttpProtocol,
            sock=connected,
            ssl=tls_context() if tls else None,
            server_hostname=host.rstrip(".") if tls else None,
        )
    except (OSError, RuntimeError, ValueError) as error:  # also from uvloop, and for odd names
        raise httpx.ConnectError(f"{host}:{port}: {error}") from error
    return connection


class _Body(httpx.AsyncByteStream):
    """A whole body in chunks, so that a compressed one does not grow without bounds at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), CHUNK_BYTES):
            yield self._body[at : at + CHUNK_BYTES]


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme]


def _stream(request: httpx.Request) -> AsyncIterator[bytes]:
    assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport's
    return aiter(request.stream)


def _serialize(request: httpx.Request, content: bytes) -> bytes:
    """The request as sent over the connection. Host and length are added if they are missing."""
    url, headers = request.url, request.headers.raw
    present = {name.lower() for name, _ in headers}
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), url.raw_path)]
    if b"host" not in present:
        lines.append(b"Host: %b" % url.netloc)
    if content and b"content-length" not in present:
        lines.append(b"Content-Length: %d" % len(content))
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join((*lines, b"", content))
