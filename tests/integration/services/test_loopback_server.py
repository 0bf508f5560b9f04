"""The servers of the tests leave no socket open and no task running."""

import asyncio
import gc
import socket
import ssl
import warnings
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvloop

from recording_sandbox.services.ports import free_ports
from recording_sandbox.waiting import eventually
from tests.helm.certificates import Authority
from tests.loopback_server import LoopbackServer, Serve, connected_to, relay_to

Loop = Callable[[], asyncio.AbstractEventLoop]
TIMEOUT_SECONDS = 10


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    made: Loop = request.param
    return made


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    pair = Authority().pair("server")
    (tmp_path / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


async def leave_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")


async def wait_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    await reader.read()


async def wait_for_the_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()
    await writer.wait_closed()


def left_open(loop: Loop, main: Coroutine[Any, Any, None]) -> list[str]:
    """The open sockets that the garbage collector finds after the loop has ended."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main)
        gc.collect()
    return [str(warning.message) for warning in caught if warning.category is ResourceWarning]


def greeted(port: int) -> ssl.SSLSocket:
    """The socket of a client that got `hello` by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    client = context.wrap_socket(raw, suppress_ragged_eofs=False)
    assert client.recv(5) == b"hello"
    return client


def is_reset_or_ended(client: socket.socket) -> bool:
    """Whether the connection itself is closed, not only TLS. Raises TimeoutError when it takes too
    long."""
    with socket.socket(fileno=client.detach()) as raw:
        raw.settimeout(TIMEOUT_SECONDS)
        try:
            while raw.recv(65_536):
                pass
        except ConnectionResetError:
            pass
    return True


@pytest.mark.parametrize("serve", [close, leave_open, wait_for_ever, wait_for_the_close])
def test_a_tls_client_that_never_says_farewell_leaves_nothing_open(
    loop: Loop, server_tls: ssl.SSLContext, serve: Serve
) -> None:
    async def main() -> None:
        async with LoopbackServer(serve, tls=server_tls) as server:
            client = await asyncio.to_thread(greeted, server.port)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert is_reset_or_ended(client)

    assert left_open(loop, main()) == []


def test_a_client_that_never_begins_with_tls_leaves_nothing_open(
    loop: Loop, server_tls: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with LoopbackServer(close, tls=server_tls) as server:
            clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
            await eventually(lambda: server.open_connections == 3)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(map(is_reset_or_ended, clients))

    assert left_open(loop, main()) == []


def test_a_connection_that_nobody_has_taken_yet_leaves_nothing_open(loop: Loop) -> None:
    async def main() -> None:
        async with LoopbackServer(close) as server:
            client = socket.create_connection(("127.0.0.1", server.port))
            assert server._listener is not None
            server._accept(server._listener)
        assert is_reset_or_ended(client)

    assert left_open(loop, main()) == []


def test_a_connection_that_was_closed_with_much_to_send_has_sent_it_and_leaves_nothing_open(
    loop: Loop,
) -> None:
    """asyncio cannot abort the transport of such a closed connection."""
    content = bytes(20_000_000)

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        writer.close()

    async def main() -> None:
        async with (
            LoopbackServer(send) as server,
            connected_to("127.0.0.1", server.port) as (reader, _),
        ):
            assert await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS) == content
            await eventually(lambda: server.open_connections == 0)

    assert left_open(loop, main()) == []


def test_a_relay_to_a_server_that_says_nothing_leaves_nothing_open(loop: Loop) -> None:
    async def main() -> None:
        async with (
            LoopbackServer(wait_for_ever) as silent,
            LoopbackServer(relay_to(silent.port)) as front,
        ):
            client = socket.create_connection(("127.0.0.1", front.port))
            assert await asyncio.to_thread(client.recv, 5) == b"hello"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert is_reset_or_ended(client)

    assert left_open(loop, main()) == []


async def test_the_error_of_a_handler_is_raised_at_the_end_and_its_connection_is_reset() -> None:
    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise LookupError("nothing to serve")

    async def main() -> None:
        async with LoopbackServer(fail) as server:
            client = socket.create_connection(("127.0.0.1", server.port))
            assert await asyncio.to_thread(is_reset_or_ended, client)

    with pytest.raises(LookupError, match="nothing to serve"):
        await main()


async def test_a_client_that_leaves_early_is_no_error_of_the_handler() -> None:
    async def read_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)

    async with LoopbackServer(read_more) as server:
        with closing(socket.create_connection(("127.0.0.1", server.port))) as client:
            client.sendall(b"few")
            client.shutdown(socket.SHUT_WR)
            assert await asyncio.to_thread(is_reset_or_ended, client)


async def test_connections_stay_open_while_new_ones_are_refused() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    async with (
        LoopbackServer(echo, port=free_ports(1)[0]) as server,
        connected_to("127.0.0.1", server.port) as (reader, writer),
    ):
        for text in (b"one", b"two"):
            writer.write(text)
            assert await asyncio.wait_for(reader.readexactly(3), TIMEOUT_SECONDS) == text
            server.refuse()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)
        server.listen()
        async with connected_to("127.0.0.1", server.port):
            pass
