"""Servers and connections on loopback that leave nothing open or running.

`asyncio.start_server` does not promise that. In Python 3.11, its `wait_closed` waits for no
connection. A closed TLS connection keeps its socket open until the peer closes it. If the loop ends
earlier, the garbage collector reports the socket in an unrelated test.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self, cast

from worker.aio import cancel_all

LIMIT_BYTES: Final = 65_536
"""How much a `StreamReader` buffers, as by default in asyncio."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class LoopbackServer:
    """`async with LoopbackServer(serve) as server:` runs `serve` for each connection to `port`.

    Without a `port` it takes a free one, which another process may take while it refuses. A
    connection stays open after `serve` returns, until one side closes it. If `serve` raises, the
    connection is reset. The end of the context cancels running tasks, resets open connections, and
    waits for both. It raises the first error of `serve`, except OSError and EOFError, which mean a
    broken connection, and except if the context ends by another error.
    """

    def __init__(
        self,
        serve: Serve,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        limit: int = LIMIT_BYTES,
    ) -> None:
        self.port = port
        self._serve = serve
        self._host = host
        self._tls = tls
        self._limit = limit
        self._listener: socket.socket | None = None
        self._serving: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
        results = [None if task.cancelled() else task.exception() for task in self._serving]
        if errors := [result for result in results if result and not error]:
            raise errors[0]

    @property
    def open_connections(self) -> int:
        """How many connections there are now."""
        return sum(not task.done() for task in self._serving)

    def listen(self) -> None:
        """Take connections; after `refuse` again on the same port."""
        if self._listener is None:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._listener = socket.create_server((self._host, self.port), family=family)
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._listener, self._accept, self._listener)

    def refuse(self) -> None:
        """Refuse new connections. Open ones stay open."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def aclose(self) -> None:
        """End everything, and wait until it has ended. Raises no error of `serve`."""
        self.refuse()
        await cancel_all(self._serving)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionError):  # its client has left again
            return
        serving = self._loop.create_task(self._handle(connection))
        # The transport closes it, but a task that is cancelled before it begins makes no transport.
        serving.add_done_callback(lambda _: connection.close())
        self._serving.append(serving)

    async def _handle(self, connection: socket.socket) -> None:
        protocol = _Protocol(self._limit)
        with suppress(OSError, EOFError):
            await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
            try:
                await self._serve(*protocol.streams)
                await protocol.closed.wait()
            finally:
                await protocol.reset()


class _Protocol(asyncio.StreamReaderProtocol):
    """`closed` is set when the connection is closed.

    `StreamWriter.wait_closed` no longer waits once a task was cancelled in it.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._reader = asyncio.StreamReader(limit)
        super().__init__(self._reader)
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        streams = cast("asyncio.WriteTransport", transport)  # uvloop's is none by its class
        loop = asyncio.get_running_loop()
        self.streams = self._reader, asyncio.StreamWriter(streams, self, self._reader, loop)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set()

    async def reset(self) -> None:
        """Close the connection at once. One that is closed can fail at `abort`."""
        if not self.closed.is_set():
            self.streams[1].transport.abort()
            await self.closed.wait()


@asynccontextmanager
async def connected_to(host: str | None, port: int | None) -> AsyncIterator[Streams]:
    """A connection without TLS. The end of the context sends written bytes, and closes it.

    A cancellation during that resets it.
    """
    assert host
    assert port
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(_Protocol, host, port)
    try:
        yield protocol.streams
    finally:
        try:
            protocol.streams[1].close()
            await protocol.closed.wait()
        finally:
            await protocol.reset()


def relay_to(port: int | None) -> Serve:
    """Serves a connection by another one to this port, until either side ends."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connected_to("127.0.0.1", port) as (answers, requests):
            pumps = [
                asyncio.create_task(_pump(reader, requests)),
                asyncio.create_task(_pump(answers, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel_all(pumps)
        writer.close()

    return relay


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(LIMIT_BYTES):
            writer.write(data)
            await writer.drain()
