"""On which addresses probes, metrics and webhooks are served."""

import asyncio
import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from tests.plain_http import NO_AUTHORITIES
from worker.domain.errors import WrongSettings
from worker.observability.http_server import HttpServer
from worker.observability.listening import EVERY_ADDRESS, listen_everywhere, listen_on_addresses
from worker.settings.settings import Settings

DOCKERFILE = Path(__file__).parents[3] / "Dockerfile"
REQUIRED = {
    "REALTIMEKIT_ACCOUNT_ID": "account",
    "REALTIMEKIT_APP_ID": "app",
    "REALTIMEKIT_API_TOKEN": "token",
}
IPV4, IPV6 = "127.0.0.1", "[::1]"


def host_of(**environ: str) -> str:
    return Settings.from_env(REQUIRED | environ).http_host


@asynccontextmanager
async def serving_on(host: str) -> AsyncIterator[int]:
    server = HttpServer(host, 0, checks_live={}, checks_ready={}, registry=CollectorRegistry())
    port = await server.start()
    try:
        yield port
    finally:
        await server.stop()


async def answers(port: int, address: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, verify=NO_AUTHORITIES) as client:
        try:
            return (await client.get(f"http://{address}:{port}/livez")).is_success
        except httpx.ConnectError:
            return False


@pytest.mark.parametrize(
    ("environ", "served"),
    [
        ({}, {IPV4, IPV6}),
        ({"HTTP_HOST": "::"}, {IPV4, IPV6}),
        ({"HTTP_HOST": "[::]"}, {IPV4, IPV6}),
        ({"HTTP_HOST": "0:0:0:0:0:0:0:0"}, {IPV4, IPV6}),
        ({"HTTP_HOST": "0.0.0.0"}, {IPV4}),  # noqa: S104
        ({"HTTP_HOST": "127.0.0.1"}, {IPV4}),
        ({"HTTP_HOST": "::1"}, {IPV6}),
        ({"HTTP_HOST": "[::1]"}, {IPV6}),
        ({"HTTP_HOST": "::ffff:127.0.0.1"}, {IPV4}),
    ],
)
async def test_the_host_decides_on_which_addresses_the_server_listens(
    environ: dict[str, str], served: set[str]
) -> None:
    async with serving_on(host_of(**environ)) as port:
        assert {address for address in (IPV4, IPV6) if await answers(port, address)} == served


@pytest.mark.parametrize(
    "host",
    ["[::", "1:2", "::g", "a b", "[worker]", "http://h", "h:8080", ".", "a..b", f"{'a' * 64}.b"],
)
def test_a_host_that_is_no_host_is_a_fault(host: str) -> None:
    with pytest.raises(WrongSettings) as raised:
        host_of(HTTP_HOST=host)
    (fault,) = raised.value.faults
    assert fault.startswith("HTTP_HOST: must be a host name or an IP address")


def test_a_port_that_is_taken_is_an_error_and_not_served_by_halves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen_everywhere(port).close()


NOT_OURS = (socket.AF_INET6, ("2001:db8::1", 0, 0, 0))


def test_an_address_of_a_name_that_the_machine_lacks_does_not_stop_the_start() -> None:
    (listening,) = listen_on_addresses([NOT_OURS, (socket.AF_INET, (IPV4, 0))])
    with listening:
        assert listening.getsockname()[0] == IPV4


def test_a_name_without_any_address_of_the_machine_is_an_error() -> None:
    with pytest.raises(OSError, match="2001:db8::1"):
        listen_on_addresses([NOT_OURS])


def test_a_port_that_is_taken_on_one_address_of_a_name_is_an_error() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            listen_on_addresses([(socket.AF_INET, (host, port)) for host in (IPV4, "127.0.0.2")])
        socket.create_server((IPV4, port)).close()


@pytest.mark.parametrize(
    "host",
    [None, "", "::", "[::]", "0.0.0.0", "127.0.0.1", "::1", "[::1]", " ::1 "],  # noqa: S104
)
async def test_the_health_check_of_the_image_asks_where_the_worker_listens(
    host: str | None,
) -> None:
    found = re.search(r"HEALTHCHECK .*?CMD (\[.*?\])\n", DOCKERFILE.read_text(), re.DOTALL)
    assert found is not None
    _, *arguments = json.loads(found[1])
    environ = {} if host is None else {"HTTP_HOST": host}
    async with serving_on(host_of(**environ)) as port:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env={**environ, "HTTP_PORT": str(port)}
        )
        assert await process.wait() == 0


def test_the_default_is_every_address() -> None:
    assert host_of() == EVERY_ADDRESS
