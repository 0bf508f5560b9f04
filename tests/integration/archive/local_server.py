"""A server of raw HTTP on loopback, for answers that no real storage gives."""

import asyncio
from types import TracebackType
from typing import Self

from tests.loopback_server import LoopbackServer


class LocalServer:
    """Listens at `url` while its context lasts. A subclass answers in `_serve`."""

    async def __aenter__(self) -> Self:
        self._server = LoopbackServer(self._serve)
        await self._server.__aenter__()
        self.url = f"http://127.0.0.1:{self._server.port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError
