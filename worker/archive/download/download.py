"""Opens one file for download: redirects, checked addresses, the status of the answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx

from worker.archive.bandwidth import Bandwidth
from worker.archive.download.responses import REDIRECTS, status_error
from worker.archive.download.source_file import SourceFile
from worker.archive.download.source_rate import SourceRate
from worker.archive.download.source_url import parse_source_url, shown
from worker.archive.download.transport import open_transport
from worker.archive.errors import SourceDoubtful, SourceUnavailable
from worker.settings.proxies import NO_PROXIES, Proxies

MAX_REDIRECTS: Final = 5
_HEADERS: Final = {"User-Agent": "recording-worker", "Accept-Encoding": "identity"}


class Download:
    """Opens files by their download URLs.

    `timeout_seconds` is the longest time without a byte, `min_bytes_per_second` the slowest rate of
    a source, 0 for any (`source_rate.py`). Without `allow_private_sources` only https and public
    addresses are read. All downloads share `bandwidth`.
    """

    def __init__(
        self,
        *,
        timeout_seconds: float,
        allow_private_sources: bool = False,
        proxies: Proxies = NO_PROXIES,
        min_bytes_per_second: int = 0,
        bandwidth: Bandwidth | None = None,
        ticks: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._timeout = timeout_seconds
        self._allow_private = allow_private_sources
        self._proxies = proxies
        self._min_rate = min_bytes_per_second
        self._bandwidth = bandwidth
        self._ticks = ticks
        self._sleep = sleep

    @asynccontextmanager
    async def open(self, url: str, *, max_bytes: int) -> AsyncIterator[SourceFile]:
        """Request a file. Its body is read from `SourceFile.blocks`.

        Raises: SourceDenied, SourceUnavailable, SourceDoubtful. Their texts have no query of a URL.
        """
        async with AsyncExitStack() as connection:

            async def get(headers: dict[str, str]) -> httpx.Response:
                await connection.aclose()
                return await self._get(connection, url, headers)

            response = await get({})
            if response.status_code != httpx.codes.OK:
                raise status_error(response)
            yield SourceFile(
                response,
                get,
                timeout=self._timeout,
                max_bytes=max_bytes,
                rate=SourceRate(self._min_rate, ticks=self._ticks),
                bandwidth=self._bandwidth,
                sleep=self._sleep,
            )

    async def _get(
        self, connection: AsyncExitStack, url: str, headers: dict[str, str]
    ) -> httpx.Response:
        """The response to a GET after redirects. Each URL and each address is checked anew."""
        target = parse_source_url(url, allow_private=self._allow_private)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._send(connection, target, headers)
            if response.status_code not in REDIRECTS:
                return response
            await connection.aclose()
            target = self._redirected(target, response.headers.get("Location", ""))
        raise SourceUnavailable("source_redirects", f"more than {MAX_REDIRECTS} redirects")

    def _redirected(self, target: httpx.URL, location: str) -> httpx.URL:
        try:
            joined = str(target.join(location))
            return parse_source_url(joined, allow_private=self._allow_private)
        except (httpx.InvalidURL, ValueError):
            code, why = "source_url_refused", "it cannot be parsed"
        except SourceDoubtful as refused:
            code, why = refused.code, refused.message
        message = f"{shown(target)} redirects to a URL that is not read from: {why}"
        raise SourceDoubtful(code, message)

    async def _send(
        self, connection: AsyncExitStack, url: httpx.URL, headers: dict[str, str]
    ) -> httpx.Response:
        transport = open_transport(url, self._proxies, allow_private=self._allow_private)
        connection.push_async_callback(transport.aclose)
        timeouts = httpx.Timeout(self._timeout).as_dict()
        request = httpx.Request(
            "GET", url, headers={**_HEADERS, **headers}, extensions={"timeout": timeouts}
        )
        try:
            async with asyncio.timeout(self._timeout):
                response = await transport.handle_async_request(request)
        except TimeoutError as error:
            message = f"{shown(url)} did not answer within {self._timeout:g} s"
            raise SourceUnavailable("source_silent", message) from error
        except httpx.TransportError as error:
            message = f"{shown(url)} cannot be read: {_reason(error)}"
            raise SourceUnavailable("source_unreachable", message) from error
        connection.push_async_callback(response.aclose)
        return response


def _reason(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__
