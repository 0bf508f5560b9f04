"""A proxy in front of the broker. It records every method and can replace the broker's answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pamqp.frame
from pamqp.base import Frame
from yarl import URL

from tests.loopback_server import LoopbackServer, connected_to
from worker.aio import cancel_all

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = 1
FRAME_HEADER_BYTES = 7

ReplaceAnswer = Callable[[Frame], Frame]


class RecordedMethod(msgspec.Struct, frozen=True):
    """A method on the wire, and whether the client or the broker sent it."""

    by_client: bool
    method: Frame


class AmqpFrameProxy:
    """Listens on `port`. `connections` has the methods of each connection in their order."""

    def __init__(self, amqp_url: str, replace: ReplaceAnswer) -> None:
        self._broker = URL(amqp_url)
        self._replace = replace
        self.port = 0
        self.connections: list[list[RecordedMethod]] = []

    def with_method(self, name: str) -> list[list[RecordedMethod]]:
        """The connections on which this method was sent, such as `Basic.Consume`."""
        return [
            methods
            for methods in self.connections
            if any(recorded.method.name == name for recorded in methods)
        ]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until either side closes it."""
        methods: list[RecordedMethod] = []
        async with connected_to(self._broker.host, self._broker.port) as (answers, requests):
            self.connections.append(methods)
            requests.write(await reader.readexactly(len(PROTOCOL_HEADER)))
            directions = [
                asyncio.create_task(self._forward(reader, requests, methods, by_client=True)),
                asyncio.create_task(self._forward(answers, writer, methods, by_client=False)),
            ]
            try:
                await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel_all(directions)
        writer.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        methods: list[RecordedMethod],
        *,
        by_client: bool,
    ) -> None:
        try:
            while True:
                header = await reader.readexactly(FRAME_HEADER_BYTES)
                frame = header + await reader.readexactly(int.from_bytes(header[3:]) + 1)
                if header[0] == METHOD_FRAME:
                    frame = self._record(frame, methods, by_client=by_client)
                writer.write(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def _record(self, frame: bytes, methods: list[RecordedMethod], *, by_client: bool) -> bytes:
        _, channel, method = pamqp.frame.unmarshal(frame)
        assert isinstance(method, Frame)
        forwarded = method if by_client else self._replace(method)
        methods.append(RecordedMethod(by_client, forwarded))
        return frame if forwarded is method else pamqp.frame.marshal(forwarded, channel)


@asynccontextmanager
async def amqp_frame_proxy(
    amqp_url: str, replace: ReplaceAnswer = lambda method: method
) -> AsyncIterator[AmqpFrameProxy]:
    """A proxy on a free port. `replace` gets each method of the broker and returns the one to
    send."""
    proxy = AmqpFrameProxy(amqp_url, replace)
    async with LoopbackServer(proxy.serve) as server:
        proxy.port = server.port
        yield proxy
