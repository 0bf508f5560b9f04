"""A relay in front of an object store that holds the request which completes an object.

So the request stays in flight while its sender counts as frozen, as long as the test needs.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tests.integration.archive.local_server import LocalServer
from tests.loopback_server import connected_to

MAX_PIECE_BYTES: Final = 64 * 1024


class HoldingRelay(LocalServer):
    """Passes requests on to the server at `port`. The first that `completes` waits for `may_pass`.

    `completes` gets the first line of a request.
    """

    def __init__(self, port: int, completes: Callable[[str], bool]) -> None:
        self._port = port
        self._completes = completes
        self.holds = asyncio.Event()
        self.may_pass = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if self._completes(first) and not self.holds.is_set():
            self.holds.set()
            await self.may_pass.wait()
        kept = (line for line in lines if not line.lower().startswith("connection:"))
        async with connected_to("127.0.0.1", self._port) as (upstream, request):
            request.write(
                "\r\n".join((first, *kept, "Connection: close", "", "")).encode("latin-1")
            )
            request.write(body)
            while piece := await upstream.read(MAX_PIECE_BYTES):
                writer.write(piece)
                await writer.drain()
        writer.close()
