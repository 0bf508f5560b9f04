"""HTTP servers from which the examples download."""

import asyncio
from collections.abc import Callable
from typing import Final, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

CONTENT: Final = b"a recording" * 1000
CUT: Final = 0
"""In place of a status: the connection ends without an answer."""


class FileServer:
    """Serves one file, and a 404. It calls `on_request` first. Its first answers may be errors."""

    def __init__(
        self,
        on_request: Callable[[], None] = lambda: None,
        *,
        failures: int = 0,
        status: int = 503,
    ) -> None:
        self._on_request = on_request
        self._failures = failures
        self._status = status
        self.requests = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/file", self._serve)
        self._server = TestServer(app)
        await self._server.start_server()
        self.url = str(self._server.make_url("/file"))
        self.missing_url = str(self._server.make_url("/missing"))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self._on_request()
        self.requests += 1
        if self.requests <= self._failures:
            if self._status == CUT and request.transport is not None:
                request.transport.abort()
            return web.Response(status=self._status or 500)
        return web.Response(body=CONTENT)


class SlowFileServer(FileServer):
    """Stops the first download after `FIRST` bytes, and cuts the second after `SECOND`."""

    FIRST: Final = 600_000
    SECOND: Final = 200_000
    CONTENT: Final = bytes(range(1, 251)) * 4000

    def __init__(self) -> None:
        super().__init__()
        self.finish_first = asyncio.Event()
        self.cut_second = asyncio.Event()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.requests > 2:
            return web.Response(body=self.CONTENT)
        is_first = self.requests == 1
        size, resume = (
            (self.FIRST, self.finish_first) if is_first else (self.SECOND, self.cut_second)
        )
        response = web.StreamResponse(headers={"Content-Length": str(len(self.CONTENT))})
        await response.prepare(request)
        await response.write(self.CONTENT[:size])
        await resume.wait()
        if is_first:
            await response.write(self.CONTENT[size:])
        elif request.transport is not None:
            request.transport.abort()
        return response
