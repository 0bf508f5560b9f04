"""Connections to a proxy: its name is looked up elsewhere, and any of its addresses will do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import httpcore
import httpx
import pytest

from recording_sandbox.services.ports import free_ports
from tests.loopback_server import LoopbackServer
from worker.settings.proxy_transport import _first_connection, open_proxy_transport

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REQUEST: Final = httpx.Request("GET", "http://api.example/", extensions={"timeout": {"connect": 5}})


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWER)
    await writer.drain()


def lists(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[tuple[Any, ...]]]]:
    async def look_up(_host: str, port: int) -> Sequence[tuple[Any, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in addresses]

    return look_up


async def test_an_address_of_the_proxy_that_refuses_leaves_the_next_one() -> None:
    async with LoopbackServer(answer) as server:
        proxy = f"http://proxy.example:{server.port}"
        transport = open_proxy_transport(proxy, lists("127.0.0.9", "127.0.0.1"), httpx.Limits())
        response = await transport.handle_async_request(REQUEST)
        assert response.status_code == 200
        await transport.aclose()


@pytest.mark.parametrize("addresses", [["127.0.0.1", "127.0.0.9"], []])
async def test_a_proxy_without_an_address_that_answers_is_no_connection(
    addresses: list[str],
) -> None:
    (port,) = free_ports(1)
    proxy = f"http://proxy.example:{port}"
    transport = open_proxy_transport(proxy, lists(*addresses), httpx.Limits())
    with pytest.raises(httpx.ConnectError):
        await transport.handle_async_request(REQUEST)


@pytest.mark.parametrize("error", [OSError("no such name"), RuntimeError("no thread")])
async def test_a_proxy_whose_name_is_not_found_is_no_connection(error: Exception) -> None:
    async def look_up(_host: str, _port: int) -> Sequence[tuple[Any, ...]]:
        raise error

    transport = open_proxy_transport("http://proxy.example:1", look_up, httpx.Limits())
    with pytest.raises(httpx.ConnectError, match=str(error)):
        await transport.handle_async_request(REQUEST)


class Stream(httpcore.AsyncMockStream):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_an_address_that_does_not_answer_delays_the_next_one_for_a_moment() -> None:
    silent, cancelled = asyncio.Event(), asyncio.Event()
    stream = Stream([])

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        if address == "fast":
            return stream
        try:
            await silent.wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with asyncio.timeout(20):
        assert await _first_connection(["silent", "fast"], connect) is stream
    assert cancelled.is_set()
    assert not stream.closed


async def test_of_two_connections_at_once_one_is_closed() -> None:
    opened: list[Stream] = []
    both = asyncio.Event()

    async def connect(address: str) -> httpcore.AsyncNetworkStream:
        if address == "first":
            await both.wait()
        both.set()
        opened.append(Stream([]))
        return opened[-1]

    async with asyncio.timeout(20):
        taken = await _first_connection(["first", "second"], connect)
    assert [stream.closed for stream in opened if stream is not taken] in ([], [True])
    assert len(opened) == 1 or sum(stream.closed for stream in opened) == 1
