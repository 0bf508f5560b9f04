"""A transport through a proxy. It uses httpx's own transport, which is slower."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import httpx

from worker.realtimekit.http.name_lookups import NameLookups
from worker.realtimekit.http.transport import (
    IDLE_TIMEOUT_SECONDS,
    MAX_CONNECTIONS,
    HttpTransport,
)
from worker.settings.proxies import Proxies
from worker.settings.proxy_transport import open_proxy_transport
from worker.settings.trusted_authorities import tls_context

_LIMITS: Final = httpx.Limits(
    max_connections=MAX_CONNECTIONS,
    max_keepalive_connections=None,
    keepalive_expiry=IDLE_TIMEOUT_SECONDS,
)


def open_transport(url: str, proxies: Proxies) -> httpx.AsyncBaseTransport:
    """The transport for the host of a URL: direct, or through the proxy that is chosen for it."""
    proxy = proxies.choose(url).proxy
    return HttpTransport() if proxy is None else ProxyTransport(proxy.reveal())


class ProxyTransport(httpx.AsyncBaseTransport):
    """Sends requests through the proxy at `proxy_url`; https by a CONNECT tunnel.

    The `connect` time-out of a request bounds everything until the request itself is sent, also the
    wait for a proxy that does not answer. Raises ConnectError, ConnectTimeout, PoolTimeout and
    ProxyError when a request was certainly not sent. No text names the password of the proxy.
    """

    def __init__(self, proxy_url: str) -> None:
        self._address = httpx.URL(proxy_url).netloc.decode("ascii")
        self._transport = open_proxy_transport(proxy_url, NameLookups().look_up, _LIMITS)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response."""
        tls_context()  # new authorities of a changed file count for this request
        connect_timeout = request.extensions.get("timeout", {}).get("connect")
        is_sending = False
        try:
            async with asyncio.timeout(connect_timeout) as limit:

                async def on_event(name: str, info: Mapping[str, Any]) -> None:
                    nonlocal is_sending
                    sends = name.endswith("send_request_headers.started")
                    if sends and info["request"].method != b"CONNECT":
                        is_sending = True
                        limit.reschedule(None)

                complete = await _complete(request, {**request.extensions, "trace": on_event})
                return await self._transport.handle_async_request(complete)
        except TimeoutError as error:
            message = f"no connection through the proxy {self._address} in time"
            raise httpx.ConnectTimeout(message) from error
        except httpx.ProxyError as error:
            message = f"the proxy {self._address} refuses the connection: {error}"
            raise httpx.ProxyError(message) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if is_sending:
                raise
            message = f"no connection through the proxy {self._address}: {error}"
            raise httpx.ConnectError(message) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()


async def _complete(request: httpx.Request, extensions: dict[str, Any]) -> httpx.Request:
    """The request with its host and length, which our own transport adds while sending."""
    assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport's
    content = b"".join([chunk async for chunk in request.stream])
    headers = httpx.Headers(request.headers)
    headers.setdefault("Host", request.url.netloc.decode("ascii"))
    if content:
        headers.setdefault("Content-Length", str(len(content)))
    if request.url.scheme == "http":
        # Some proxies close such a connection after each response, and lose the next request.
        headers["Connection"] = "close"
    stream = httpx.ByteStream(content)
    return httpx.Request(
        request.method, request.url, headers=headers, stream=stream, extensions=extensions
    )
