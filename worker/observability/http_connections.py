"""Limits the connections of the HTTP server, so that slow clients do not exclude others.

A connection *waits* until its whole request has arrived, and again after its response. Only a
waiting connection is ever closed here. If there are too many connections, a new one replaces the
one that has waited longest. A probe or a webhook sends its request at once; a slow client does not.
asyncio protocols are wrapped, because aiohttp has neither a header time-out nor a limit.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple, cast

from worker.observability.rare_log import RareLog

MAX_CONNECTIONS: Final = 512
MAX_CONNECTIONS_PER_ADDRESS: Final = 128
"""Enough for a reverse proxy, whose connections all have one address."""

HEADER_TIMEOUT_SECONDS: Final = 10.0
RESPONSE_TIMEOUT_SECONDS: Final = 30.0


class ConnectionLimits(NamedTuple):
    """The largest number of connections, in all and per address, and their time-outs in seconds.

    The headers of a request must arrive in `header_timeout`, counted from the connection or from
    the request's first byte. The client must read the response in `response_timeout`.
    """

    total: int = MAX_CONNECTIONS
    per_address: int = MAX_CONNECTIONS_PER_ADDRESS
    header_timeout: float = HEADER_TIMEOUT_SECONDS
    response_timeout: float = RESPONSE_TIMEOUT_SECONDS


class ConnectionGuard:
    """Wraps each connection's protocol and closes connections that exceed `limits`.

    The server reports by `begin`, `arrived` and `end` what it does with a request. The protocol
    identifies the connection.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._log = RareLog("http_connection_closed")
        self._open: dict[asyncio.Protocol, _GuardedConnection] = {}

    def wrap(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """The protocol to connect instead of `protocol`."""
        return _GuardedConnection(protocol, self)

    def begin(self, protocol: asyncio.Protocol) -> None:
        """The headers of a request have arrived."""
        if connection := self._open.get(protocol):
            connection.is_handled = True
            connection.stop_timer()

    def arrived(self, protocol: asyncio.Protocol) -> None:
        """The whole request has arrived. The connection is not closed before its response."""
        connection = self._open.get(protocol)
        if connection and connection.is_handled:  # a body's rest can come after its response
            connection.is_waiting = False

    def end(self, protocol: asyncio.Protocol) -> None:
        """The response is made. The client must read it now."""
        if connection := self._open.pop(protocol, None):
            self._open[protocol] = connection  # the last to wait now
            connection.is_handled, connection.is_waiting = False, True
            connection.has_served = connection.is_idle = True
            connection.start_timer(self._limits.response_timeout, connection.close_if_unread)

    def add(self, connection: "_GuardedConnection") -> None:
        """A connection was made. Closes others, or this one, when there are too many."""
        self._open[connection.protocol] = connection
        connection.start_timer(self._limits.header_timeout, connection.close_late)
        self._make_room(connection, of_address=True)
        if connection.protocol in self._open:
            self._make_room(connection, of_address=False)

    def remove(self, connection: "_GuardedConnection") -> None:
        """A connection has ended."""
        self._open.pop(connection.protocol, None)

    def request_started(self, connection: "_GuardedConnection") -> None:
        """The first bytes after a response have arrived."""
        connection.start_timer(self._limits.header_timeout, connection.close_late)

    def close(self, connection: "_GuardedConnection", reason: str) -> None:
        """End a connection at once, and drop unread and unsent data."""
        self._log.info(reason=reason, address=connection.address, open=len(self._open))
        self.remove(connection)
        connection.abort()

    def _make_room(self, newest: "_GuardedConnection", *, of_address: bool) -> None:
        limit = self._limits.per_address if of_address else self._limits.total
        others = [other for other in self._open.values() if other is not newest]
        if of_address:
            others = [other for other in others if other.address == newest.address]
        if len(others) < limit:
            return
        waiting = [other for other in others if other.is_waiting]
        if not of_address:
            waiting = _of_busiest_address(waiting)
        # A connection that never sent a request is closed before an idle one that a proxy keeps.
        victim = min(waiting, key=lambda other: other.has_served, default=newest)
        self.close(victim, "too many connections" + (" of its address" if of_address else ""))


def _of_busiest_address(connections: "list[_GuardedConnection]") -> "list[_GuardedConnection]":
    busiest = Counter(connection.address for connection in connections).most_common(1)
    return [connection for connection in connections if connection.address == busiest[0][0]]


def _address(transport: asyncio.BaseTransport) -> str:
    """The client's address. For IPv6 only the network, because a client has all addresses in it."""
    peer = transport.get_extra_info("peername")
    try:
        address = ip_address(peer[0].partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")


class _GuardedConnection(asyncio.Protocol):
    """Passes all calls on to `protocol`, and records the times."""

    def __init__(self, protocol: asyncio.Protocol, guard: ConnectionGuard) -> None:
        self.protocol = protocol
        self.address = ""
        self.is_waiting = True
        self.is_handled = False
        self.has_served = False
        self.is_idle = False
        self._guard = guard
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.address = _address(transport)
        self.protocol.connection_made(transport)
        self._guard.add(self)

    def data_received(self, data: bytes) -> None:
        if self.is_idle:
            self.is_idle = False
            self._guard.request_started(self)
        self.protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self.protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timer()
        self._guard.remove(self)
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()

    def start_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close_late(self) -> None:
        self._guard.close(self, "its request did not arrive in time")

    def close_if_unread(self) -> None:
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._guard.close(self, "its response was not read in time")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
