"""Resolves names in the archive's own threads.

If a resolver does not answer, the system's time-out occupies a thread. The event loop has few
threads for look-ups, and the API and RabbitMQ need them.
"""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Final

from worker.archive.errors import SourceUnavailable

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""One result of getaddrinfo."""

MAX_LOOKUPS: Final = 64
"""At most this many threads may wait for resolvers at the same time."""

_free: Final = threading.BoundedSemaphore(MAX_LOOKUPS)


async def look_up(host: str, port: int) -> list[AddressInfo]:
    """The addresses of a host.

    Raises OSError or ValueError, as getaddrinfo, and SourceUnavailable if too many threads wait.
    """
    if not _free.acquire(blocking=False):
        message = f"{host} is not looked up, because {MAX_LOOKUPS} look-ups have no answer yet"
        raise SourceUnavailable("source_unreachable", message)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[AddressInfo]] = loop.create_future()

    def look() -> None:
        found: list[AddressInfo] | Exception
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[assignment]  # addresses of another kind are not asked for
        except (OSError, ValueError) as error:  # ValueError: for odd names
            found = error
        finally:
            _free.release()
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(_settle, answer, found)

    # A daemon thread: the process does not wait for a resolver at its end.
    threading.Thread(target=look, name="archive-lookup", daemon=True).start()
    return await answer


def _settle(
    answer: "asyncio.Future[list[AddressInfo]]", found: list[AddressInfo] | Exception
) -> None:
    if answer.done():  # the caller was cancelled
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
