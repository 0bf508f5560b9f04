"""The effects of a proxy between the worker and the API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from recording_sandbox.api.server import Sandbox
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.tinyproxy import PASSWORD, TinyProxy
from tests.loopback_server import LoopbackServer
from worker.domain.errors import OutcomeUnknown, Unavailable
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.settings.proxies import Proxies, proxy_url

MEETING = "6b2f7a3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
API = "https://127.0.0.1:1/client/v4"


@asynccontextmanager
async def client_through(
    proxy: str, *, base_url: str = API, timeout: float = 5.0
) -> AsyncIterator[RealtimeKitClient]:
    client = RealtimeKitClient(
        base_url=base_url,
        account_id="account",
        app_id="app",
        token=lambda: "token",
        timeout=timeout,
        retry=RequestRetry(attempts=1),
        proxies=Proxies(all=proxy_url(proxy)),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def refusal_of_a_start(proxy: str, **changes: Any) -> Unavailable:
    """The error of a start, which proves that the start was not sent."""
    async with client_through(proxy, **changes) as client:
        with pytest.raises(Unavailable) as raised:
            await client.start_track_recording({"meeting_id": MEETING})
    assert not isinstance(raised.value, OutcomeUnknown)
    assert PASSWORD not in str(raised.value)
    return raised.value


async def test_plain_http_goes_through_the_proxy_too(tinyproxy: TinyProxy) -> None:
    async with Sandbox() as sandbox:
        async with client_through(tinyproxy.url, base_url=sandbox.base_url) as client:
            for _ in range(20):
                await client.start_track_recording({"meeting_id": MEETING})
        assert len(sandbox.request_log.started) == 20
    assert len(tinyproxy.requests) == 20


async def test_a_proxy_that_refuses_is_named_without_its_password(tinyproxy: TinyProxy) -> None:
    wrong = f"http://worker:x{PASSWORD}@{tinyproxy.address}"
    error = await refusal_of_a_start(wrong)
    assert f"the proxy {tinyproxy.address} refuses the connection: 40" in str(error)


async def test_a_host_that_the_proxy_does_not_reach_was_certainly_not_asked(
    tinyproxy: TinyProxy,
) -> None:
    error = await refusal_of_a_start(tinyproxy.url)
    assert f"the proxy {tinyproxy.address} refuses the connection: 500" in str(error)


async def test_a_proxy_that_is_unavailable_is_named() -> None:
    (port,) = free_ports(1)
    error = await refusal_of_a_start(f"http://worker:{PASSWORD}@127.0.0.1:{port}")
    assert f"no connection through the proxy 127.0.0.1:{port}" in str(error)


async def test_a_proxy_that_does_not_answer_sent_nothing() -> None:
    closed = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with LoopbackServer(say_nothing) as server:
        await refusal_of_a_start(f"127.0.0.1:{server.port}", timeout=0.5)
        await asyncio.wait_for(closed.wait(), 10)


@asynccontextmanager
async def proxy_that_answers(answer: bytes) -> AsyncIterator[str]:
    """The address of a proxy that reads a request, answers with these bytes, and closes."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with LoopbackServer(respond) as server:
        yield f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno TLS",
    ],
)
async def test_a_proxy_that_opens_no_tunnel_sent_nothing(answer: bytes) -> None:
    async with proxy_that_answers(answer) as address:
        error = await refusal_of_a_start(f"http://worker:{PASSWORD}@{address}")
    assert f"no connection through the proxy {address}" in str(error)


async def test_a_proxy_that_ends_after_a_plain_request_may_have_sent_it() -> None:
    async with (
        proxy_that_answers(b"") as address,
        client_through(address, base_url="http://127.0.0.1:1/client/v4") as client,
    ):
        with pytest.raises(OutcomeUnknown):
            await client.start_track_recording({"meeting_id": MEETING})
