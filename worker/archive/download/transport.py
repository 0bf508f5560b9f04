"""An httpx transport that streams responses from checked addresses.

httpx's own transport resolves a name again when it connects, and may get another address than the
checked one (DNS rebinding). It also spends several times the CPU on each byte. The figures are in
docs/adr/0030-the-archive-copies-with-obstore.md.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Final

import aiohappyeyeballs
import httpx

from worker.archive.download.addresses import resolve
from worker.archive.download.connection import StreamConnection
from worker.archive.download.name_lookup import AddressInfo, look_up
from worker.settings.proxies import Proxies
from worker.settings.proxy_transport import open_proxy_transport
from worker.settings.trusted_authorities import tls_context

HAPPY_EYEBALLS_DELAY_SECONDS: Final = 0.25
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def open_transport(
    url: httpx.URL, proxies: Proxies, *, allow_private: bool
) -> httpx.AsyncBaseTransport:
    """The transport for one URL: direct, or through the proxy that is chosen for it.

    A proxy resolves the name itself. Which addresses can be reached is then the proxy's rule.
    """
    proxy = proxies.choose(str(url)).proxy
    if proxy is None:
        return CheckedTransport(allow_private=allow_private)
    return open_proxy_transport(proxy.reveal(), look_up, httpx.Limits())


class CheckedTransport(httpx.AsyncBaseTransport):
    """Opens one connection for each request, to an address that was checked.

    Raises SourceDoubtful or SourceUnavailable by the address, else errors of httpx.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request without a body. The body of the response is streamed."""
        url = request.url
        port = url.port or _DEFAULT_PORTS[url.scheme]
        host = url.raw_host.decode("ascii")
        addresses = await resolve(host, port, allow_private=self._allow_private)
        connection = await _connect(url.scheme, host, addresses)
        try:
            head = await connection.request(_serialize(request))
        except BaseException:
            connection.close()
            raise
        response = httpx.Response(head.status, headers=head.headers, stream=_Body(connection))
        response.headers.encoding = "iso-8859-1"
        return response


class _Body(httpx.AsyncByteStream):
    def __init__(self, connection: StreamConnection) -> None:
        self._connection = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection.body()  # type: ignore[return-value]  # SourceFile takes both

    async def aclose(self) -> None:
        self._connection.close()


async def _connect(scheme: str, host: str, addresses: list[AddressInfo]) -> StreamConnection:
    loop = asyncio.get_running_loop()
    try:
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_SECONDS
        )
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = scheme == "https"
        _, connection = await loop.create_connection(
            StreamConnection,
            sock=connected,
            ssl=tls_context() if tls else None,
            server_hostname=host.rstrip(".") if tls else None,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise httpx.ConnectError(f"no connection to {host}: {error}") from error
    return connection


def _serialize(request: httpx.Request) -> bytes:
    headers = [
        (name, value) for name, value in request.headers.raw if name.lower() != b"connection"
    ]
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join((*lines, b"Connection: close", b"", b""))
