"""A server of raw HTTP on loopback, for storages that answer as no real one can be told to."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from worker.aio import cancel_all


class LocalServer:
    """Listens at `url` while its context lasts. A subclass answers in `_serve`."""

    async def __aenter__(self) -> Self:
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._server.wait_closed()
        # A client that left early keeps its answer waiting: nobody else would end it.
        writers = list(self._open.values())
        await cancel_all(list(self._open))
        for writer in writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.ensure_future(self._serve(reader, writer))
        self._open[serving] = writer
        serving.add_done_callback(self._end)

    def _end(self, serving: asyncio.Task[None]) -> None:
        writer = self._open.pop(serving)
        if not serving.cancelled() and serving.exception() is not None:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError
