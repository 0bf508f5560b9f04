"""Each fault of the proxy does to a connection what its name says."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from recording_sandbox.services.ports import free_ports
from recording_sandbox.waiting import eventually
from tests.fault.tcp_proxy import TcpProxy
from tests.loopback_server import LoopbackServer, Streams, connected_to


class Echo:
    """A server that echoes its input and remembers how its connections ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.got += data
                writer.write(data)
                await writer.drain()
            self.ended.append("fin")
        except ConnectionResetError:
            self.ended.append("reset")
        finally:
            writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[TcpProxy]:
    async with LoopbackServer(echo.serve) as server, TcpProxy(server.port) as proxy:
        yield proxy


def connected(proxy: TcpProxy) -> AbstractAsyncContextManager[Streams]:
    return connected_to("127.0.0.1", proxy.port)


async def echo_of(streams: Streams, text: bytes) -> bytes:
    reader, writer = streams
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), 10)


async def test_bytes_pass_through_and_are_counted(proxy: TcpProxy) -> None:
    async with connected(proxy) as streams:
        assert await echo_of(streams, b"hello") == b"hello"
    assert (proxy.bytes_up, proxy.bytes_down, proxy.accepted) == (5, 5, 1)


async def test_the_end_of_a_connection_is_passed_on(proxy: TcpProxy, echo: Echo) -> None:
    async with connected(proxy) as streams:
        await echo_of(streams, b"hello")
        streams[1].write_eof()
        assert await asyncio.wait_for(streams[0].read(), 10) == b""
    await eventually(lambda: echo.ended == ["fin"])
    await eventually(lambda: proxy.open_connections == 0)


async def test_both_sides_receive_a_reset(proxy: TcpProxy, echo: Echo) -> None:
    async with connected(proxy) as streams:
        await echo_of(streams, b"hello")
        proxy.cut("reset")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(streams[0].read(), 10)
    await eventually(lambda: echo.ended == ["reset"])


async def test_both_sides_receive_a_fin(proxy: TcpProxy, echo: Echo) -> None:
    async with connected(proxy) as streams:
        await echo_of(streams, b"hello")
        proxy.cut("fin")
        assert await asyncio.wait_for(streams[0].read(), 10) == b""
    await eventually(lambda: echo.ended == ["fin"])


async def test_bytes_held_back_by_a_stall_arrive_afterwards(proxy: TcpProxy, echo: Echo) -> None:
    async with connected(proxy) as streams:
        await echo_of(streams, b"hello")
        proxy.stall()
        streams[1].write(b"later")
        await eventually(lambda: proxy.bytes_up == 10)
        assert echo.got == b"hello"
        await proxy.restore()
        assert await asyncio.wait_for(streams[0].readexactly(5), 10) == b"later"


async def test_one_frozen_connection_holds_back_its_bytes_and_no_others(
    proxy: TcpProxy, echo: Echo
) -> None:
    async with connected(proxy) as frozen:
        await echo_of(frozen, b"hello")
        proxy.freeze_one(random.Random(1))
        async with connected(proxy) as other:
            frozen[1].write(b"later")
            assert await echo_of(other, b"other") == b"other"
            assert echo.got == b"helloother"
            await proxy.restore()
            assert await asyncio.wait_for(frozen[0].readexactly(5), 10) == b"later"


async def test_a_delay_makes_bytes_arrive_later_and_in_order(proxy: TcpProxy) -> None:
    proxy.delay(0.05)
    loop = asyncio.get_running_loop()
    async with connected(proxy) as streams:
        asked_at = loop.time()
        assert await echo_of(streams, b"one") == b"one"
        assert await echo_of(streams, b"two") == b"two"
    assert loop.time() - asked_at >= 4 * 0.05


async def test_a_black_hole_drops_all_bytes_and_restore_resets_its_connections(
    proxy: TcpProxy, echo: Echo
) -> None:
    async with connected(proxy) as streams:
        await echo_of(streams, b"hello")
        proxy.black_hole()
        streams[1].write(b"lost")
        streams[1].write_eof()
        await eventually(lambda: proxy.bytes_up == 9)
        assert (echo.got, echo.ended) == (b"hello", [])
        await proxy.restore()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(streams[0].read(), 10)


async def test_a_connection_opened_during_a_black_hole_reaches_no_target(
    proxy: TcpProxy, echo: Echo
) -> None:
    proxy.black_hole()
    async with connected(proxy) as streams:
        streams[1].write(b"anybody?")
        await eventually(lambda: proxy.bytes_up == 8)
    assert echo.got == b""


async def test_refusing_connections_keeps_the_existing_ones_open(proxy: TcpProxy) -> None:
    async with connected(proxy) as streams:
        await echo_of(streams, b"hello")
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await echo_of(streams, b"still") == b"still"
    await proxy.restore()
    async with connected(proxy) as streams:
        assert await echo_of(streams, b"again") == b"again"


async def test_an_unreachable_target_looks_like_a_reset() -> None:
    (port,) = free_ports(1)
    async with TcpProxy(port) as proxy, connected(proxy) as streams:
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(streams[0].read(), 10)


async def test_several_targets_get_connections_in_rotation() -> None:
    echoes = Echo(), Echo()
    async with AsyncExitStack() as stack:
        ports = []
        for echo in echoes:
            server = await stack.enter_async_context(LoopbackServer(echo.serve))
            ports.append(server.port)
        proxy = await stack.enter_async_context(TcpProxy(*ports))
        for text in (b"one", b"two", b"three"):
            async with connected(proxy) as streams:
                await echo_of(streams, text)
    assert [echo.got for echo in echoes] == [b"onethree", b"two"]
