"""A worker that reaches the API only through an HTTP proxy."""

import ssl
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
from tests.loopback_server import LoopbackServer, relay_to


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
        LoopbackServer(
            relay_to(urlsplit(sandbox.root_url).port), tls=server_context(authority, tmp_path)
        ) as tls_server,
    ):
        known = settings(
            amqp_url,
            names_prefix,
            sandbox,
            REALTIMEKIT_BASE_URL=f"https://127.0.0.1:{tls_server.port}/client/v4",
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
        assert tunnels == (
            set() if exceptions else {f"CONNECT 127.0.0.1:{tls_server.port} HTTP/1.1"}
        )
        assert "sesame" not in (tmp_path / "worker.log").read_text(errors="replace")
