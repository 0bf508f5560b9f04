"""The HTTP transport: connections, and responses of every form, on both event loops."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from recording_sandbox.waiting import eventually
from tests.loopback_server import LoopbackServer
from worker.realtimekit.http.protocol import MAX_RESPONSE_BYTES, ResponseTooLarge
from worker.realtimekit.http.transport import MAX_CONNECTIONS, HttpTransport, _IdleConnection

HEAD = b"HTTP/1.1 200 OK\r\n"
GOOD = HEAD + b"Content-Length: 2\r\n\r\nok"
Play = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The other end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await self._reader.readexactly(int(line[15:]))
        return head

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def is_left(self) -> bool:
        try:
            return await self._reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self._writer.close()


class Server:
    """Plays one scene on each connection, the last of them again and again."""

    def __init__(self, *scenes: Play) -> None:
        self._scenes = list(scenes)
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        scene = self._scenes[min(self.connections, len(self._scenes) - 1)]
        self.connections += 1
        try:
            await scene(Peer(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def met(*scenes: Play) -> AsyncIterator[tuple[Server, HttpTransport]]:
    server, transport = Server(*scenes), HttpTransport()
    async with LoopbackServer(server.serve) as listener:
        server.url = f"http://127.0.0.1:{listener.port}/path?q=1"
        try:
            async with asyncio.timeout(10):
                yield server, transport
        finally:
            await transport.aclose()


async def send(
    transport: HttpTransport, url: str, content: bytes = b"", **extensions: object
) -> tuple[int, bytes]:
    method = "POST" if content else "GET"
    request = httpx.Request(
        method, url, stream=httpx.ByteStream(content), extensions=dict(extensions)
    )
    response = await transport.handle_async_request(request)
    return response.status_code, await response.aread()


def idle_connections(transport: HttpTransport) -> list[_IdleConnection]:
    return [connection for connections in transport._idle.values() for connection in connections]


def sending(*pieces: bytes) -> Play:
    async def scene(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(*pieces)

    return scene


def sending_and_closing(*pieces: bytes) -> Play:
    async def scene(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces)

    return scene


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([GOOD], id="with its length"),
        pytest.param([bytes([byte]) for byte in GOOD], id="byte by byte"),
        pytest.param(
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\no\r\n", b"1\r\nk\r\n0\r\n\r\n"],
            id="in chunks",
        ),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", GOOD], id="after hints"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD], id="after a go-ahead"),
    ],
)
async def test_a_response_of_any_form_is_read_whole_and_the_connection_is_kept(
    pieces: list[bytes],
) -> None:
    async with met(sending(*pieces)) as (server, transport):
        for _ in range(3):
            assert await send(transport, server.url) == (200, b"ok")
        assert server.connections == 1


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(HEAD + b"\r\nok", id="no length at all"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nok", id="of the old version"),
        pytest.param(
            HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", id="that says it closes"
        ),
    ],
)
async def test_a_response_that_ends_with_its_connection_is_whole(response: bytes) -> None:
    async with met(sending_and_closing(response)) as (server, transport):
        assert await send(transport, server.url) == (200, b"ok")
        assert await send(transport, server.url) == (200, b"ok")
        assert server.connections == 2


async def test_a_response_without_a_body_is_whole() -> None:
    async with met(sending(b"HTTP/1.1 204 No Content\r\n\r\n")) as (server, transport):
        assert await send(transport, server.url) == (204, b"")
        assert await send(transport, server.url) == (204, b"")
        assert server.connections == 1


async def test_host_length_and_body_are_sent_as_http_requires() -> None:
    requests: asyncio.Queue[bytes] = asyncio.Queue()

    async def scene(peer: Peer) -> None:
        requests.put_nowait(await peer.request())
        await peer.send(GOOD)

    async with met(scene) as (server, transport):
        await send(transport, server.url, b"{}")
        address = httpx.URL(server.url).netloc
        head, _, body = (await requests.get()).partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /path?q=1 HTTP/1.1",
        b"Host: " + address,
        b"Content-Length: 2",
    ]
    assert body == b"{}"


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", id="cut in its body"),
        pytest.param(HEAD + b"Content-Le", id="cut in its head"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nok", id="cut in one of its chunks"
        ),
        pytest.param(b"", id="none"),
    ],
)
async def test_a_truncated_response_is_lost(response: bytes) -> None:
    async with met(sending_and_closing(response)) as (server, transport):
        with pytest.raises(httpx.ReadError):
            await send(transport, server.url)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"SMTP ready\r\n", id="no HTTP"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="an upgrade"
        ),
        pytest.param(
            HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="of two lengths",
        ),
    ],
)
async def test_data_that_is_no_http_response_is_an_error_and_ends_the_connection(
    response: bytes,
) -> None:
    left: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def scene(peer: Peer) -> None:
        await peer.request()
        await peer.send(response)
        left.set_result(await peer.is_left())

    async with met(scene) as (server, transport):
        with pytest.raises(httpx.HTTPError):
            await send(transport, server.url)
        assert await left


async def test_a_response_that_was_not_asked_for_belongs_to_no_request() -> None:
    """Two responses to one request: the second must not become the response to the next request."""
    async with met(sending(GOOD + HEAD + b"Content-Length: 6\r\n\r\nwrong!"), sending(GOOD)) as (
        server,
        transport,
    ):
        assert await send(transport, server.url) == (200, b"ok")
        assert await send(transport, server.url) == (200, b"ok")
        assert server.connections == 2


async def test_an_idle_connection_that_the_peer_closed_is_not_used_again() -> None:
    async with met(sending_and_closing(GOOD)) as (server, transport):
        for _ in range(3):
            assert await send(transport, server.url) == (200, b"ok")
            await eventually(
                lambda: not any(idle.connection.is_usable for idle in idle_connections(transport))
            )
        assert server.connections == 3


async def test_connections_that_only_a_burst_needed_are_closed_while_others_are_used() -> None:
    is_burst_sent, ended = asyncio.Event(), 0

    async def scene(peer: Peer) -> None:
        nonlocal ended
        try:
            while True:
                await peer.request()
                await is_burst_sent.wait()
                await peer.send(GOOD)
        finally:
            ended += 1

    async with met(scene) as (server, _):
        transport = HttpTransport(idle_timeout_seconds=0.3)
        burst = [asyncio.create_task(send(transport, server.url)) for _ in range(5)]
        await eventually(lambda: server.connections == 5)
        is_burst_sent.set()
        await asyncio.gather(*burst)
        while server.connections - ended > 1:
            await send(transport, server.url)
        await transport.aclose()


@pytest.mark.parametrize(("lifetime_seconds", "connections"), [(3600.0, 1), (-1.0, 3)])
async def test_a_connection_that_is_always_in_use_is_replaced_after_its_lifetime(
    lifetime_seconds: float, connections: int
) -> None:
    async def scene(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(GOOD)

    async with met(scene, scene, scene) as (server, _):
        transport = HttpTransport(lifetime_seconds=lifetime_seconds)
        for _ in range(3):
            assert await send(transport, server.url) == (200, b"ok")
        assert server.connections == connections
        await transport.aclose()


async def test_a_cancelled_request_closes_its_connection() -> None:
    requested, left = asyncio.Event(), asyncio.Event()

    async def scene(peer: Peer) -> None:
        await peer.request()
        requested.set()
        if await peer.is_left():
            left.set()

    async with met(scene, sending(GOOD)) as (server, transport):
        asking = asyncio.create_task(send(transport, server.url))
        await requested.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await left.wait()
        assert await send(transport, server.url) == (200, b"ok")


@pytest.mark.parametrize(
    "head",
    [HEAD + b"Content-Length: 99999999\r\n\r\n", HEAD + b"Long: ", HEAD + b"\r\n"],
    ids=["by its length", "of its head", "without end"],
)
async def test_a_response_is_collected_up_to_the_maximum_size(head: bytes) -> None:
    flood = [b"x" * 65_536] * (MAX_RESPONSE_BYTES // 65_536 + 2)
    async with met(sending_and_closing(head, *flood)) as (server, transport):
        with pytest.raises((ResponseTooLarge, httpx.RemoteProtocolError)):
            await send(transport, server.url)


async def test_requests_beyond_the_maximum_wait_for_a_connection_and_time_out() -> None:
    free = asyncio.Event()

    async def scene(peer: Peer) -> None:
        while True:
            await peer.request()
            await free.wait()
            await peer.send(GOOD)

    async with met(scene) as (server, transport):
        asking = [asyncio.create_task(send(transport, server.url)) for _ in range(MAX_CONNECTIONS)]
        await eventually(lambda: server.connections == MAX_CONNECTIONS)
        with pytest.raises(httpx.PoolTimeout):
            await send(transport, server.url, timeout={"pool": 0.05})
        one_more = asyncio.create_task(send(transport, server.url))
        free.set()
        assert await one_more == (200, b"ok")
        await asyncio.gather(*asking)
        assert server.connections == MAX_CONNECTIONS


async def test_the_error_names_the_address_that_refuses_connections() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        transport = HttpTransport()
        with pytest.raises(httpx.ConnectError, match=f"^127.0.0.1:{port}: "):
            await send(transport, f"http://127.0.0.1:{port}/")


async def test_a_host_name_that_does_not_exist_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError, match=r"^nowhere\.invalid:80: "):
        await send(HttpTransport(), "http://nowhere.invalid/")


async def test_a_complete_response_is_not_completed_again_when_the_connection_ends() -> None:
    async def scene(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        await peer.request()  # perhaps executed, without a response

    async with met(scene) as (server, transport):
        assert await send(transport, server.url) == (204, b"")
        with pytest.raises(httpx.ReadError):
            await send(transport, server.url)


async def test_an_idle_connection_keeps_no_response_in_memory() -> None:
    body = b"x" * 1_000_000
    async with met(sending(HEAD + b"Content-Length: 1000000\r\n\r\n" + body)) as (
        server,
        transport,
    ):
        assert (await send(transport, server.url))[1] == body
        (kept,) = idle_connections(transport)
        assert (kept.connection._body, kept.connection._headers) == ([], [])


@pytest.mark.parametrize("host", [f"{'a' * 64}.invalid", "a..invalid"])
async def test_an_invalid_host_name_is_a_connect_error(host: str) -> None:
    with pytest.raises(httpx.ConnectError):
        await send(HttpTransport(), f"http://{host}/")


async def test_a_response_after_aclose_leaves_no_connection_open() -> None:
    going_on, left = asyncio.Event(), asyncio.Event()

    async def scene(peer: Peer) -> None:
        await peer.request()
        await going_on.wait()
        await peer.send(GOOD)
        if await peer.is_left():
            left.set()

    async with met(scene) as (server, transport):
        asking = asyncio.create_task(send(transport, server.url))
        await eventually(lambda: server.connections)
        await transport.aclose()
        going_on.set()
        assert await asking == (200, b"ok")
        await left.wait()
