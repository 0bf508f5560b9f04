"""Resolves names in threads of its own, each name at most once at a time.

If a name server does not answer, the system's time-out occupies a thread for ten seconds or more,
also after the caller has given up. uvloop has only two threads for look-ups. RabbitMQ and other
apps need them.
"""

import asyncio
import socket

from worker.aio import in_daemon_thread

AddressInfo = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]
]
"""One result of getaddrinfo."""

_Answer = asyncio.Future[list[AddressInfo]]


class NameLookups:
    """The look-ups in progress. All that ask for one name at the same time share its answer."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], _Answer] = {}

    async def look_up(self, host: str, port: int) -> list[AddressInfo]:
        """The addresses of a host. Raises OSError or ValueError, as getaddrinfo."""
        place = host, port
        if (answer := self._running.get(place)) is None:
            answer = in_daemon_thread(lambda: _getaddrinfo(host, port), name="name-lookup")
            self._running[place] = answer
            answer.add_done_callback(lambda done: self._end(place, done))
        return list(await asyncio.shield(answer))

    def _end(self, place: tuple[str, int], answer: _Answer) -> None:
        del self._running[place]
        if not answer.cancelled():
            answer.exception()  # all that wait may have been cancelled


def _getaddrinfo(host: str, port: int) -> list[AddressInfo]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]  # addresses of another kind are not asked for
