"""A way to the broker on which every frame is written down, and an answer may be changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pamqp.frame
from pamqp.base import Frame
from yarl import URL

GREETING = b"AMQP\x00\x00\x09\x01"
METHOD = 1
HEAD = 7

Change = Callable[[Frame], Frame]


class Said(msgspec.Struct, frozen=True):
    """A method on the wire, and who said it."""

    by_client: bool
    method: Frame


class Overheard:
    """What was said on each connection that came by `port`, in the order in which it came."""

    def __init__(self, amqp_url: str, change: Change) -> None:
        self._broker = URL(amqp_url)
        self._change = change
        self.port = 0
        self.connections: list[list[Said]] = []

    def with_method(self, name: str) -> list[list[Said]]:
        """The connections on which somebody said this, such as `Basic.Consume`."""
        return [one for one in self.connections if any(said.method.name == name for said in one)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        answers, questions = await asyncio.open_connection(self._broker.host, self._broker.port)
        said: list[Said] = []
        self.connections.append(said)
        try:
            questions.write(await reader.readexactly(len(GREETING)))
            ways = (
                self._pass_on(reader, questions, said, by_client=True),
                self._pass_on(answers, writer, said, by_client=False),
            )
            await asyncio.wait(
                [asyncio.create_task(way) for way in ways], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            questions.close()
            writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        said: list[Said],
        *,
        by_client: bool,
    ) -> None:
        try:
            while True:
                head = await reader.readexactly(HEAD)
                frame = head + await reader.readexactly(int.from_bytes(head[3:]) + 1)
                if head[0] == METHOD:
                    frame = self._heard(frame, said, by_client=by_client)
                writer.write(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def _heard(self, frame: bytes, said: list[Said], *, by_client: bool) -> bytes:
        _, channel, method = pamqp.frame.unmarshal(frame)
        assert isinstance(method, Frame)
        changed = method if by_client else self._change(method)
        said.append(Said(by_client, changed))
        return frame if changed is method else pamqp.frame.marshal(changed, channel)


@asynccontextmanager
async def overheard(
    amqp_url: str, change: Change = lambda method: method
) -> AsyncIterator[Overheard]:
    """Connections by a port of its own; `change` may put another answer into an answer's place."""
    way = Overheard(amqp_url, change)
    async with await asyncio.start_server(way.serve, "127.0.0.1", 0) as server:
        way.port = server.sockets[0].getsockname()[1]
        yield way
