"""httpx's transport through a proxy, whose name is not resolved by the event loop.

The event loop has few threads for look-ups, and RabbitMQ needs them. A name server that does not
answer would occupy them all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import httpcore
import httpx

from worker.settings.trusted_authorities import tls_context

NEXT_ADDRESS_SECONDS: Final = 0.25
"""After this long without an answer from one address of the proxy, the next one is tried in
parallel."""

LookUp = Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]
"""Results of getaddrinfo for a host and a port. Raises OSError, RuntimeError or ValueError."""


def open_proxy_transport(
    proxy_url: str, look_up: LookUp, limits: httpx.Limits
) -> httpx.AsyncHTTPTransport:
    """Sends requests through the proxy, https by a CONNECT tunnel. `look_up` finds its address."""
    url = httpx.URL(proxy_url)
    context = tls_context()
    of_proxy = context if url.scheme == "https" else None
    proxy = httpx.Proxy(url, ssl_context=of_proxy)
    transport = httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy)
    # httpx has no parameter for this. If it renames the pool, a test fails that counts threads.
    transport._pool._network_backend = _Backend(look_up)  # noqa: SLF001
    return transport


class _Backend(httpcore.AsyncNetworkBackend):
    """httpcore's network, but names are resolved by `look_up`."""

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to whichever address of the host answers first. Raises httpcore's errors."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._look_up(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"no address of {host} in time") from error
        except (OSError, RuntimeError, ValueError) as error:
            raise httpcore.ConnectError(str(error)) from error

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await self._network.connect_tcp(
                address, port, timeout, local_address, socket_options
            )

        return await _first_connection(_addresses(found), connect)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._network.sleep(seconds)


def _addresses(found: Sequence[tuple[Any, ...]]) -> list[str]:
    return list(dict.fromkeys(str(info[4][0]) for info in found))


async def _first_connection(
    addresses: Sequence[str], connect: Callable[[str], Awaitable[httpcore.AsyncNetworkStream]]
) -> httpcore.AsyncNetworkStream:
    """The first connection. The others are closed. Raises the last error if there is none."""
    waiting: set[asyncio.Future[httpcore.AsyncNetworkStream]] = set()
    error: BaseException = httpcore.ConnectError("the proxy has no address")
    untried = list(addresses)
    try:
        while untried or waiting:
            if untried:
                waiting.add(asyncio.ensure_future(connect(untried.pop(0))))
            pause = NEXT_ADDRESS_SECONDS if untried else None
            done, waiting = await asyncio.wait(
                waiting, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (failure := task.exception()) is None:
                    waiting |= done - {task}
                    return task.result()
                error = failure
        raise error
    finally:
        await _close_all(waiting)


async def _close_all(connecting: Iterable[asyncio.Future[httpcore.AsyncNetworkStream]]) -> None:
    for task in connecting:
        task.cancel()
        with suppress(asyncio.CancelledError, httpcore.NetworkError, httpcore.TimeoutException):
            await (await task).aclose()
