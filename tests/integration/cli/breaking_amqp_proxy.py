"""A proxy in front of the broker that ends the connection at a chosen moment of the protocol."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from tests.integration.cli_process import PROCESS_TIMEOUT_SECONDS
from tests.loopback_server import LoopbackServer, connected_to

BASIC_ACK = b"\x00\x3c\x00\x50"
BASIC_NACK = b"\x00\x3c\x00\x78"
BASIC_PUBLISH = b"\x00\x3c\x00\x28"
METHOD_FRAME = 1


class BreakingAmqpProxy:
    """A connection that ends at the client's first use of a method, which never arrives.

    With `hang_up` the proxy closes the connection then; else both sides wait forever.
    """

    def __init__(self, amqp_url: str, method: bytes, *, hang_up: bool) -> None:
        self._broker = URL(amqp_url)
        self._method = method
        self._hang_up = hang_up
        self._reached = asyncio.Event()

    async def reached(self) -> None:
        async with asyncio.timeout(PROCESS_TIMEOUT_SECONDS):
            await self._reached.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connected_to(self._broker.host, self._broker.port) as (answers, questions):
            back = asyncio.create_task(_pump(answers, writer))
            try:
                await self._pass_on(reader, questions)
                if not self._hang_up:
                    await reader.read()
            finally:
                back.cancel()
                writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, questions: asyncio.StreamWriter) -> None:
        questions.write(await reader.readexactly(len(b"AMQP0091")))
        while True:
            head = await reader.readexactly(7)
            rest = await reader.readexactly(int.from_bytes(head[3:]) + 1)
            if head[0] == METHOD_FRAME and rest.startswith(self._method):
                self._reached.set()
                return
            questions.write(head + rest)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@asynccontextmanager
async def break_connection_at(
    amqp_url: str, method: bytes, *, hang_up: bool = False
) -> AsyncIterator[tuple[str, BreakingAmqpProxy]]:
    cut = BreakingAmqpProxy(amqp_url, method, hang_up=hang_up)
    async with LoopbackServer(cut.serve) as server:
        yield str(URL(amqp_url).with_host("127.0.0.1").with_port(server.port)), cut
