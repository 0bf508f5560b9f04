"""How requests reach the network: an httpx transport over connections that are kept open.

httpx's own pool spends more on each request the more are under way, and the client of aiohttp does
much that is not needed here (cookies, redirects, proxies, sessions): docs/adr has the figures.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Final, NamedTuple

import aiohappyeyeballs
import httpx

from worker.realtimekit.http.protocol import HttpProtocol

MOST_CONNECTIONS: Final = 500
IDLE_SECONDS: Final = 15.0
"""A connection that nobody used for so long may be about to be closed over there."""

DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_NEXT_ADDRESS_SECONDS: Final = 0.25
_PIECE: Final = 65_536


class _Kept(NamedTuple):
    wire: HttpProtocol
    since: float


class Transport(httpx.AsyncBaseTransport):
    """Sends requests to whatever hosts they name. No redirects, no cookies, no proxies.

    A request's `timeout` extension bounds waiting for one of `MOST_CONNECTIONS` (`pool`, seconds)
    and connecting (`connect`); for the rest the caller has a deadline and cancels. Answers are
    collected whole. Raises ConnectError, ConnectTimeout and PoolTimeout when a request was surely
    not sent, other errors of httpx and `TooLarge` when it may have been executed.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, int], list[_Kept]] = {}
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and return its answer."""
        where = _origin(request.url)
        content = b"".join([piece async for piece in _stream(request)])
        wire = await self._connected(where, request)
        try:
            told = await wire.exchange(_written(request, content))
        finally:
            self._done_with(where, wire)
        response = httpx.Response(told.status, headers=told.headers, stream=_Body(told.body))
        response.headers.encoding = "iso-8859-1"  # httpx would decode them all to find it out
        return response

    async def aclose(self) -> None:
        """Close every connection that is not in use; those in use are closed after it."""
        self._closed = True
        for kept in self._kept.values():
            for one in kept:
                one.wire.close()
        self._kept.clear()

    async def _connected(self, where: tuple[str, str, int], request: httpx.Request) -> HttpProtocol:
        if not self._places.locked() and (wire := self._reused(where)):
            await self._places.acquire()  # at once
            return wire
        limits = request.extensions.get("timeout", {})
        await self._place(limits.get("pool"))
        try:
            async with asyncio.timeout(limits.get("connect")):
                return self._reused(where) or await self._opened(*where)
        except TimeoutError as error:
            self._places.release()
            raise httpx.ConnectTimeout(f"no connection to {where[1]}:{where[2]} in time") from error
        except BaseException:
            self._places.release()
            raise

    async def _place(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError as error:
            busy = f"all {MOST_CONNECTIONS} connections are in use"
            raise httpx.PoolTimeout(busy) from error

    def _reused(self, where: tuple[str, str, int]) -> HttpProtocol | None:
        kept = self._kept.get(where, [])
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while kept:
            wire, since = kept.pop()
            if wire.usable and since >= oldest:
                return wire
            wire.close()
        return None

    async def _opened(self, scheme: str, host: str, port: int) -> HttpProtocol:
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            connected = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS
            )
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = scheme == "https"
            _, wire = await loop.create_connection(
                HttpProtocol,
                sock=connected,
                ssl=_tls() if tls else None,
                server_hostname=host.rstrip(".") if tls else None,
            )
        except (OSError, RuntimeError, ValueError) as error:  # also of uvloop, and of odd names
            raise httpx.ConnectError(f"{host}:{port}: {error}") from error
        return wire

    def _done_with(self, where: tuple[str, str, int], wire: HttpProtocol) -> None:
        self._places.release()
        if wire.usable and not self._closed:
            now = asyncio.get_running_loop().time()
            self._kept.setdefault(where, []).append(_Kept(wire, now))
        else:
            wire.close()


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """What certificates are checked with; one for all, for it holds every authority there is."""
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Body(httpx.AsyncByteStream):
    """A whole body in pieces, so that one that is packed is not unpacked beyond all bounds."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), _PIECE):
            yield self._body[at : at + _PIECE]


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS[url.scheme]


def _stream(request: httpx.Request) -> AsyncIterator[bytes]:
    assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport's
    return aiter(request.stream)


def _written(request: httpx.Request, content: bytes) -> bytes:
    """What goes over the wire; host and length are added where they are not given."""
    url, headers = request.url, request.headers.raw
    given = {name.lower() for name, _ in headers}
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), url.raw_path)]
    if b"host" not in given:
        lines.append(b"Host: %b" % url.netloc)
    if content and b"content-length" not in given:
        lines.append(b"Content-Length: %d" % len(content))
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join((*lines, b"", content))
