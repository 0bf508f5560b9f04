"""A worker that reaches the API only through an HTTP proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.services.tinyproxy import TinyProxy
from recording_schemas import CommandSucceeded
from tests.e2e.worker_environment import WorkerEnvironment, settings
from tests.forked_worker import ForkedWorkerProcess
from tests.helm.certificates import Authority


@asynccontextmanager
async def tls_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port on which a server of this machine is reached by TLS."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        pumps = [
            asyncio.create_task(pump(reader, inner_writer)),
            asyncio.create_task(pump(inner_reader, writer)),
        ]
        served.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        # Not closed in order: TLS would wait for the other side's farewell, which does not come.
        inner_writer.transport.abort()
        writer.transport.abort()
        await asyncio.wait(pumps)

    served: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*served, return_exceptions=True)


def server_context(authority: Authority, directory: Path) -> ssl.SSLContext:
    pair = authority.pair("api")
    chain = directory / "api.pem"
    chain.write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return context


@pytest.mark.parametrize("exceptions", ["", "example.com, 127.0.0.0/8"])
async def test_the_api_is_reached_through_the_proxy_unless_no_proxy_names_it(
    amqp_url: str, names_prefix: str, tmp_path: Path, tinyproxy: TinyProxy, exceptions: str
) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.certificate)
    async with (
        Sandbox() as sandbox,
        tls_front(
            urlsplit(sandbox.root_url).port or 80, server_context(authority, tmp_path)
        ) as tls,
    ):
        known = settings(
            amqp_url,
            names_prefix,
            sandbox,
            REALTIMEKIT_BASE_URL=f"https://127.0.0.1:{tls}/client/v4",
            HTTPS_PROXY=tinyproxy.url,
            NO_PROXY=exceptions,
            SSL_CERT_FILE=str(tmp_path / "ca.pem"),
        )
        worker = ForkedWorkerProcess(known, tmp_path)
        await worker.start()
        try:
            await worker.ready()
            async with WorkerClient(amqp_url, names_prefix) as messages:
                environment = WorkerEnvironment(sandbox, worker, messages)
                await environment.start()
                outcome = await environment.outcome("start-1")
        finally:
            await worker.stop()
        assert isinstance(outcome.data, CommandSucceeded), worker.log_tail()
        tunnels = {line for line in tinyproxy.requests if line.startswith("CONNECT")}
        assert tunnels == (set() if exceptions else {f"CONNECT 127.0.0.1:{tls} HTTP/1.1"})
        assert "sesame" not in (tmp_path / "worker.log").read_text(errors="replace")
