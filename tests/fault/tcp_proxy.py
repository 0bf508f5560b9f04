"""A TCP proxy that imitates faults of networks: cut, stall, delay, black hole, refuse.

It runs in the caller's event loop. Both halves of a connection are real sockets, so peers meet the
same errors as on a network. Only the kernel's own acknowledgements cannot be held back: a black
hole withholds the application's bytes and FIN, but not ACKs.
"""

import asyncio
import itertools
import random
import socket
import struct
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, Self

from recording_sandbox.services.ports import free_ports
from tests.loopback_server import LoopbackServer, connected_to
from worker.aio import cancel_all

CHUNK_BYTES: Final = 65_536
NO_LINGER: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing sends RST instead of FIN."""

CutKind = Literal["reset", "fin"]


class TcpProxy:
    """`async with TcpProxy(port) as link:` takes connections on `link.port` for `host:port`.

    Several target ports get connections in turn, as behind a load balancer. `bytes_up` and
    `bytes_down` count bytes from clients and from the target, also discarded ones; `accepted`
    counts connections. A fault lasts until `restore`. While the proxy refuses connections, it keeps
    its port.
    """

    def __init__(self, *ports: int, host: str = "127.0.0.1") -> None:
        self._host = host
        self._ports = itertools.cycle(ports)
        self._pairs: set[_ProxiedConnection] = set()
        self._going = asyncio.Event()
        self._going.set()
        self._delay = 0.0
        self._swallows = False
        (self.port,) = free_ports(1)
        self._server = LoopbackServer(self._take, port=self.port)
        self.bytes_up = 0
        self.bytes_down = 0
        self.accepted = 0

    async def __aenter__(self) -> Self:
        self._server.listen()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.refuse()
        self.cut()
        await self._server.aclose()

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._pairs)

    def cut(self, how: CutKind = "reset") -> None:
        """End every open connection on both sides: by RST, or by FIN."""
        for pair in set(self._pairs):
            pair.cut(how)

    def stall(self) -> None:
        """Hold back every byte, in both directions, until `restore`; none is lost."""
        self._going.clear()

    def freeze_one(self, dice: random.Random) -> None:
        """Hold back every byte of one connection until `restore`, as of a suspended client."""
        if self._pairs:
            dice.choice(list(self._pairs)).going.clear()

    def delay(self, seconds: float) -> None:
        """Delay every piece by this many seconds, in both directions."""
        self._delay = seconds

    def black_hole(self) -> None:
        """Accept everything and pass on nothing, not even an end; new connections as well."""
        self._swallows = True

    def refuse(self) -> None:
        """Refuse new connections. Open connections continue."""
        self._server.refuse()

    async def restore(self) -> None:
        """End every fault. Connections that lost bytes are reset, because nothing can repair
        them."""
        self._swallows, self._delay = False, 0.0
        for pair in set(self._pairs):
            pair.going.set()
            if pair.lossy:
                pair.cut("reset")
        self._going.set()
        self._server.listen()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        pair = _ProxiedConnection(writer)
        self._pairs.add(pair)
        with self._ending(pair):
            if self._swallows:
                pair.lossy = True
                await self._discard(reader, pair)
                return
            async with connected_to(self._host, next(self._ports)) as (from_target, to_target):
                pair.join(to_target)
                with self._ending(pair):
                    await _together(
                        self._pump(reader, to_target, pair, up=True),
                        self._pump(from_target, writer, pair, up=False),
                    )

    @contextmanager
    def _ending(self, pair: "_ProxiedConnection") -> Iterator[None]:
        try:
            yield
        except OSError:
            pair.cut("reset")  # as a dead peer behind a router would look
        finally:
            pair.cut("fin")
            self._pairs.discard(pair)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: "_ProxiedConnection",
        *,
        up: bool,
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            self._count(len(data), up=up)
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._go_on(pair)
            if self._swallows:
                pair.lossy = True
                continue
            if writer.is_closing():  # cut meanwhile; uvloop minds a write then
                return
            writer.write(data)
            await writer.drain()
        await self._go_on(pair)
        if self._swallows or pair.lossy:
            pair.lossy = True
            await pair.ended()
        elif writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()

    async def _go_on(self, pair: "_ProxiedConnection") -> None:
        await self._going.wait()
        await pair.going.wait()

    async def _discard(self, reader: asyncio.StreamReader, pair: "_ProxiedConnection") -> None:
        while data := await reader.read(CHUNK_BYTES):
            self._count(len(data), up=True)
        await pair.ended()

    def _count(self, size: int, *, up: bool) -> None:
        if up:
            self.bytes_up += size
        else:
            self.bytes_down += size


class _ProxiedConnection:
    """Both halves of one connection."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self._writers = [client]
        self._ended = asyncio.Event()
        self.going = asyncio.Event()
        self.going.set()
        self.lossy = False

    def join(self, target: asyncio.StreamWriter) -> None:
        self._writers.append(target)
        if self._ended.is_set():  # cut while the target was being reached
            _end(target, "reset")

    def cut(self, how: CutKind) -> None:
        self._ended.set()
        self.going.set()
        for writer in self._writers:
            _end(writer, how)

    async def ended(self) -> None:
        await self._ended.wait()


async def _together(*pumps: Coroutine[Any, Any, None]) -> None:
    """Run them until all have ended, or one has failed, and leave none running."""
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.gather(*tasks)
    finally:
        await cancel_all(tasks)


def _end(writer: asyncio.StreamWriter, how: CutKind) -> None:
    transport = writer.transport
    if how == "fin":
        transport.close()
        return
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER
        )
    transport.abort()
