"""Resolves names in the archive's own threads.

If a resolver does not answer, the system's time-out occupies a thread. The event loop has few
threads for look-ups, and the API and RabbitMQ need them.
"""

import socket
import threading
from typing import Final

from worker.aio import in_daemon_thread
from worker.archive.errors import SourceUnavailable

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""One result of getaddrinfo."""

MAX_LOOKUPS: Final = 64
"""At most this many threads may wait for resolvers at the same time."""

_free: Final = threading.BoundedSemaphore(MAX_LOOKUPS)


async def look_up(host: str, port: int) -> list[AddressInfo]:
    """The addresses of a host.

    Raises OSError or ValueError, as getaddrinfo, and SourceUnavailable if too many threads wait or
    none can be started.
    """
    if not _free.acquire(blocking=False):
        message = f"{host} is not looked up, because {MAX_LOOKUPS} look-ups have no answer yet"
        raise SourceUnavailable("source_unreachable", message)

    def look() -> list[AddressInfo]:
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]  # addresses of another kind are not asked for
        finally:
            _free.release()

    try:
        answer = in_daemon_thread(look, name="archive-lookup")
    except RuntimeError as error:  # the system permits no further thread
        _free.release()
        message = f"{host} is not looked up: {error}"
        raise SourceUnavailable("source_unreachable", message) from error
    return await answer
