"""Slow and malformed HTTP clients do not block probes and webhooks. The sockets are real."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from recording_sandbox.waiting import eventually
from tests.integration.webhook_bench import WebhookBench, open_webhook_bench, status_update
from tests.restored_logs import restored_logs
from worker.observability.http_body import MAX_ARRIVING_BYTES
from worker.observability.http_connections import ConnectionLimits
from worker.observability.http_server import HttpServer
from worker.observability.logs import configure_logs
from worker.tracking.webhook_endpoint import MAX_BODY_BYTES, MAX_CONCURRENT

PARTIAL_BODY = (
    b"POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
    b"rtk-signature: QUJD\r\n\r\n{"
)
LIMITS = ConnectionLimits(total=20, per_address=8, header_timeout=60.0, response_timeout=60.0)
ADDRESSES = tuple(f"127.0.0.{number}" for number in range(2, 12))

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clients:
    """Connections of one test, from any loopback address."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: list[Stream] = []

    async def open(self, sent: bytes, *, source: str = "127.0.0.1") -> Stream:
        stream = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(source, 0))
        self._streams.append(stream)
        stream[1].write(sent)
        await stream[1].drain()
        return stream

    async def close(self) -> None:
        for _reader, writer in self._streams:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def open_server(limits: ConnectionLimits, host: str = "127.0.0.1") -> AsyncIterator[Clients]:
    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 50_000_000)

    server = HttpServer(
        host,
        0,
        checks_live={},
        checks_ready={},
        registry=CollectorRegistry(),
        extra_routes=[web.get("/large", large)],
        limits=limits,
    )
    clients = Clients(await server.start())
    try:
        yield clients
    finally:
        await clients.close()
        await server.stop()


async def is_served(clients: Clients, *, source: str = "127.0.0.1") -> bool:
    reader, _writer = await clients.open(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", source=source)
    return b" 200 " in await reader.readline()


async def is_closed(stream: Stream) -> bool:
    """Whether the server ended this connection, possibly after an answer."""
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            await stream[0].read()
    return True


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with restored_logs():
        configure_logs(level="debug", format="json", stream=stream)
        yield stream


def logged(lines: io.StringIO, event: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [record for record in records if record["event"] == event]


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /livez HTTP/1.1\r\nHost: x\r\nX: "])
async def test_a_connection_whose_headers_do_not_arrive_in_time_is_closed(sent: bytes) -> None:
    async with open_server(ConnectionLimits(header_timeout=0.1)) as clients:
        assert await is_closed(await clients.open(sent))


async def test_the_header_timeout_counts_from_the_first_byte_of_a_slow_request() -> None:
    async with open_server(ConnectionLimits(header_timeout=0.2)) as clients:
        reader, writer = await clients.open(b"GET /livez HTTP/1.1\r\nX: ")
        closed = asyncio.ensure_future(reader.read())
        for _ in range(1_000):
            writer.write(b"y")
            await asyncio.wait([closed], timeout=0.01)
            if closed.done():
                break
        assert closed.done()


async def test_the_header_timeout_holds_for_the_second_request_too() -> None:
    async with open_server(ConnectionLimits(header_timeout=0.2)) as clients:
        reader, writer = await clients.open(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.write(b"GET /livez HTTP/1.1\r\n")
        assert await is_closed((reader, writer))


async def test_a_connection_may_be_idle_longer_than_headers_may_take() -> None:
    async with open_server(ConnectionLimits(header_timeout=0.05)) as clients:
        reader, writer = await clients.open(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"}}")
        assert await is_closed(await clients.open(b"G"))  # so the time has passed
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 404 " in await reader.readuntil(b"Not Found")


async def test_a_client_that_does_not_read_its_response_is_closed(log_lines: io.StringIO) -> None:
    async with open_server(ConnectionLimits(response_timeout=0.1)) as clients:
        _reader, writer = await clients.open(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await eventually(lambda: bool(logged(log_lines, "http_connection_closed")))
        (line,) = logged(log_lines, "http_connection_closed")
        assert line["reason"] == "its response was not read in time"


@pytest.mark.parametrize("sent", [b"", b"GET /", PARTIAL_BODY])
async def test_probes_are_answered_while_one_address_holds_all_its_connections(
    sent: bytes,
) -> None:
    async with open_server(LIMITS) as clients:
        slow = [await clients.open(sent) for _ in range(3 * LIMITS.per_address)]
        assert await is_served(clients)
        assert await is_served(clients, source="127.0.0.2")
        assert await is_closed(slow[0])


@pytest.mark.parametrize("sent", [b"", b"GET /", PARTIAL_BODY])
async def test_probes_are_answered_while_many_addresses_hold_all_connections(sent: bytes) -> None:
    async with open_server(LIMITS) as clients:
        for source in ADDRESSES:
            for _ in range(LIMITS.per_address):
                await clients.open(sent, source=source)
        assert await is_served(clients, source=ADDRESSES[0])
        assert await is_served(clients)


async def test_a_client_that_was_served_keeps_its_connection_while_others_are_slow() -> None:
    async with open_server(LIMITS) as clients:
        reader, writer = await clients.open(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"}}")
        for _ in range(3 * LIMITS.per_address):
            await clients.open(b"G")
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 404 " in await reader.readuntil(b"Not Found")


async def test_a_proxy_that_keeps_idle_connections_can_always_open_one_more() -> None:
    async with open_server(LIMITS) as clients:
        for _ in range(3 * LIMITS.per_address):
            assert await is_served(clients)


async def test_webhooks_are_taken_while_slow_clients_hold_more_bodies_than_may_be_handled(
    sqlite_url: str,
) -> None:
    async with open_webhook_bench(sqlite_url, body_timeout=60.0) as bench:
        clients = Clients(bench.port)
        recording_id = await bench.known_recording()
        for source in ADDRESSES[:3]:
            for _ in range(MAX_CONCURRENT // 2):
                await clients.open(PARTIAL_BODY, source=source)
        assert await bench.send_status(recording_id, "RECORDING") == 204
        await clients.close()


async def test_the_webhook_of_a_meeting_with_500_tracks_is_taken(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording("RECORDING")
    tracks = [
        {"layer_name": "default", "download_url": f"https://f.example/{n}.webm?s={'x' * 8_000}"}
        for n in range(500)
    ]
    body = status_update(recording_id, "UPLOADED", downloadUrl=tracks)
    assert len(json.dumps(body)) > 4_000_000
    assert await bench.post(body) == 204
    assert bench.verdict_counts() == {"taken": 1}


async def test_large_bodies_that_arrive_together_stay_within_a_bound(bench: WebhookBench) -> None:
    """The largest unfinished body is dropped, so that a small webhook is accepted."""
    recording_id = await bench.known_recording()
    clients = Clients(bench.port)
    head = b"POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
    head = head % MAX_BODY_BYTES + b"rtk-signature: QUJD\r\n\r\n"
    nearly = b"x" * (MAX_BODY_BYTES - 1)
    count = MAX_ARRIVING_BYTES // MAX_BODY_BYTES + 2
    streams = [await clients.open(head) for _ in range(count)]
    for _reader, writer in streams:
        writer.write(nearly)
        await writer.drain()
    assert await bench.send_status(recording_id, "RECORDING") == 204
    for _reader, writer in streams:
        writer.write(b"x")
    answers = [await reader.readline() for reader, _writer in streams]
    assert any(b" 503 " in answer for answer in answers)
    assert any(b" 401 " in answer for answer in answers)
    await clients.close()


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[WebhookBench]:
    async with open_webhook_bench(sqlite_url, body_timeout=60.0) as bench:
        yield bench


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"nonsense\r\n\r\n",
    b"GET /livez HTTP/9.9\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nA\x00: hunter2\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /livez HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n",
]


@pytest.mark.parametrize("sent", MALFORMED)
async def test_a_malformed_request_leaves_one_line_without_a_traceback(
    sent: bytes, log_lines: io.StringIO
) -> None:
    async with open_server(LIMITS) as clients:
        assert await is_closed(await clients.open(sent))
    lines = log_lines.getvalue().splitlines()
    assert len(lines) == 1, lines
    (line,) = logged(log_lines, "http_request_malformed")
    assert line["address"] == "127.0.0.1"
    assert "exception" not in line
    assert "hunter2" not in lines[0]
    assert len(lines[0]) < 500


async def test_an_ipv4_client_is_logged_by_its_ipv4_address_if_the_server_listens_on_both_protocols(
    log_lines: io.StringIO,
) -> None:
    async with open_server(LIMITS, host="::") as clients:
        assert await is_closed(await clients.open(MALFORMED[1]))
    (line,) = logged(log_lines, "http_request_malformed")
    assert line["address"] == "127.0.0.1"


async def test_many_malformed_requests_leave_few_lines(log_lines: io.StringIO) -> None:
    async with open_server(LIMITS) as clients:
        for _ in range(200):
            assert await is_closed(await clients.open(MALFORMED[1]))
    assert len(log_lines.getvalue().splitlines()) < 100
