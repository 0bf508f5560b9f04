"""A running console, and a client of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from worker.broker.topology import Topology
from worker.console.server import Console, ConsoleOptions
from worker.settings.settings import ConsoleSettings

TOKEN = "a-token-of-the-console"  # noqa: S105 - of this test


class ConsoleClient:
    """Asks the console. `port` is where it listens."""

    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self._http = http

    async def request(
        self, path: str, *, method: str = "GET", json: object = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.origin + path
        async with self._http.request(method, url, json=json, headers=named) as response:
            return response.status, response.headers, await response.read()

    async def get(self, path: str, *, status: int = 200) -> Any:
        """The JSON of a route that answers with this status."""
        answered, _, body = await self.request(path)
        assert answered == status, body
        return msgspec.json.decode(body)

    async def post(self, path: str, value: object, *, status: int = 200) -> Any:
        """Post like the page: with its origin."""
        answered, _, body = await self.request(path, method="POST", json=value, Origin=self.origin)
        assert answered == status, body
        return msgspec.json.decode(body)

    async def post_bytes(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Post a body unchanged, with the page's origin. Returns the status and the body of the
        answer."""
        headers = {"Origin": self.origin}
        async with self._http.post(self.origin + path, data=body, headers=headers) as response:
            return response.status, await response.read()

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[aiohttp.StreamReader]:
        """The lines of the stream."""
        async with self._http.get(f"{self.origin}/api/stream") as response:
            assert response.status == 200, await response.text()
            yield response.content


async def next_message(stream: aiohttp.StreamReader, name: str) -> Any:
    """The next message of this name."""
    async with asyncio.timeout(20):
        while (line := await stream.readline()).strip() != f"event: {name}".encode():
            assert line, "the stream has ended"
        return msgspec.json.decode((await stream.readline()).partition(b": ")[2])


@asynccontextmanager
async def running_console(
    environ: Mapping[str, str], *, is_public: bool = False, **more: Any
) -> AsyncIterator[ConsoleClient]:
    """Run a console with these variables on a free port, and `more` of its options."""
    settings = ConsoleSettings.from_env(environ)
    topology = Topology(prefix=settings.name_prefix, retry_delays=settings.retry_delays_seconds)
    options = ConsoleOptions(host="127.0.0.1", port=0, is_public=is_public, **more)
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    console = Console(settings, topology, options)
    task = asyncio.create_task(console.run(stop, port.set_result))
    cookies = aiohttp.CookieJar(unsafe=True)  # the console has an address and no name
    try:
        async with aiohttp.ClientSession(cookie_jar=cookies) as http:
            yield ConsoleClient(await asyncio.wait_for(port, 20), http)
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)
