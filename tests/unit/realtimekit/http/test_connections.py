"""The client on real sockets: failures of connections, and forbidden behaviour of the client."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.loopback_server import LoopbackServer
from worker.domain.errors import AnswerLost, ApiError, OutcomeUnknown, Unavailable
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry

BEARER = "token-that-must-stay-secret"
BODY = json.dumps({"data": {"id": "rec-1", "status": "INVOKED"}}).encode()

Call = Callable[[RealtimeKitClient], Awaitable[Any]]
Responder = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads whole requests from its sockets and passes the writer to `respond`."""

    def __init__(self, respond: Responder) -> None:
        self.respond = respond
        self.requests: list[bytes] = []
        self.received = asyncio.Event()
        self.port = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                self.requests.append(await self._request(reader))
                self.received.set()
                await self.respond(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        return head + (await reader.readexactly(lengths[0]) if lengths else b"")


@asynccontextmanager
async def serving(respond: Responder) -> AsyncIterator[Server]:
    server = Server(respond)
    async with LoopbackServer(server.serve) as listener:
        server.port = listener.port
        yield server


@asynccontextmanager
async def client_of(
    port: int, *, scheme: str = "http", timeout: float = 5.0, attempts: int = 1
) -> AsyncIterator[RealtimeKitClient]:
    client = RealtimeKitClient(
        base_url=f"{scheme}://127.0.0.1:{port}/client/v4",
        account_id="acc",
        app_id="app",
        token=lambda: BEARER,
        timeout=timeout,
        retry=RequestRetry(attempts=attempts, base_seconds=0.0),
    )
    try:
        yield client
    finally:
        await client.aclose()


def replying(head: bytes, body: bytes = b"") -> Responder:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(head + b"\r\n\r\n" + body)
        await writer.drain()

    return respond


def good(*headers: bytes) -> Responder:
    length = b"Content-Length: %d" % len(BODY)
    return replying(b"\r\n".join((b"HTTP/1.1 200 OK", length, *headers)), BODY)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def say_nothing(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip_for_ever(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


def start(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.start_track_recording({"meeting_id": "m"})


def get(client: RealtimeKitClient) -> Awaitable[Any]:
    return client.get_recording("rec-1")


async def failure_of(call: Awaitable[Any]) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await call
    return raised.value


async def test_a_recording_is_started_over_a_real_connection() -> None:
    async with serving(good()) as server, client_of(server.port) as client:
        assert (await start(client)).recording_id == "rec-1"
        (request,) = server.requests
    head, _, content = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /client/v4/accounts/acc/realtime/kit/app/recordings/track HTTP")
    assert f"authorization: bearer {BEARER}".encode() in head.lower()
    assert json.loads(content) == {"meeting_id": "m"}


BROKEN = [
    pytest.param(close, id="closed without a word"),
    pytest.param(reset, id="reset"),
    pytest.param(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 900", b"{"), id="cut in the body"),
    pytest.param(replying(b"SMTP ready"), id="no HTTP"),
    pytest.param(
        replying(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4", b"zzzz"),
        id="not packed as it says",
    ),
]


async def and_then_close(respond: Responder, writer: asyncio.StreamWriter) -> None:
    await respond(writer)
    writer.close()


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_start_that_was_sent_and_lost_has_an_unknown_outcome(broken: Responder) -> None:
    async with (
        serving(lambda writer: and_then_close(broken, writer)) as server,
        client_of(server.port, attempts=3) as client,
    ):
        failure = await failure_of(start(client))
        assert (type(failure), failure.code) == (OutcomeUnknown, "connection_lost")
        assert len(server.requests) == 1


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_read_that_was_lost_is_unavailable_and_no_error_references_the_token(
    broken: Responder,
) -> None:
    async with (
        serving(lambda writer: and_then_close(broken, writer)) as server,
        client_of(server.port, attempts=2) as client,
    ):
        failure: BaseException | None = await failure_of(get(client))
        assert (type(failure), len(server.requests) >= 2) == (AnswerLost, True)
    while failure is not None:
        assert BEARER not in f"{failure} {failure!r} {failure.args} {vars(failure)}"
        failure = failure.__cause__ or failure.__context__


async def test_a_start_without_a_response_in_time_has_an_unknown_outcome() -> None:
    async with serving(say_nothing) as server, client_of(server.port, timeout=1.0) as client:
        failure = await failure_of(start(client))
        assert (type(failure), failure.code) == (OutcomeUnknown, "timeout")
        assert len(server.requests) == 1


async def test_a_response_that_arrives_byte_by_byte_ends_at_the_total_deadline() -> None:
    async with serving(drip_for_ever) as server, client_of(server.port, timeout=1.0) as client:
        failure = await failure_of(get(client))
        assert (type(failure), failure.code) == (AnswerLost, "timeout")


async def test_an_endless_response_is_read_up_to_the_maximum_size() -> None:
    async with serving(flood) as server, client_of(server.port) as client:
        failure = await failure_of(get(client))
        assert (type(failure), failure.code) == (AnswerLost, "response_too_large")


async def test_a_refused_connection_is_certainly_not_executed() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        async with client_of(port) as client:
            failure = await failure_of(start(client))
    assert (type(failure), failure.code) == (Unavailable, "connect_failed")
    assert f"127.0.0.1:{port}" in failure.message


async def test_a_failed_tls_handshake_is_certainly_not_executed() -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no TLS\r\n")
        writer.close()

    async with LoopbackServer(serve) as server, client_of(server.port, scheme="https") as client:
        failure = await failure_of(start(client))
    assert (type(failure), failure.code) == (Unavailable, "connect_failed")


async def test_a_handshake_that_never_ends_is_certainly_not_executed() -> None:
    async with (
        serving(say_nothing) as server,
        client_of(server.port, scheme="https", timeout=1.0) as client,
    ):
        failure = await failure_of(start(client))
        assert (type(failure), failure.code) == (Unavailable, "connect_failed")


async def test_no_redirect_takes_the_token_elsewhere() -> None:
    async with serving(good()) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/".encode()
        head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location
        async with serving(replying(head)) as server, client_of(server.port) as client:
            failure = await failure_of(get(client))
        assert (type(failure), failure.http_status) == (AnswerLost, 302)
        assert (len(server.requests), elsewhere.requests) == (1, [])


async def test_cookies_of_the_api_are_not_sent_back() -> None:
    async with serving(good(b"Set-Cookie: session=1")) as server, client_of(server.port) as client:
        await get(client)
        await get(client)
        assert b"cookie" not in server.requests[1].lower()


async def test_one_connection_serves_request_after_request() -> None:
    async with serving(good()) as server, client_of(server.port) as client:
        for _ in range(5):
            await get(client)
        assert server.connections == 1


async def test_nothing_is_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with serving(good()) as server, client_of(server.port) as client:
            await get(client)
    assert [record for record in caplog.records if record.name != "asyncio"] == []


async def test_a_cancelled_call_leaves_the_client_usable() -> None:
    async with serving(say_nothing) as server, client_of(server.port) as client:
        call = asyncio.ensure_future(get(client))
        async with asyncio.timeout(5):
            await server.received.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.respond = good()
        assert (await get(client)).recording_id == "rec-1"
