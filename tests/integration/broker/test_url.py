"""The effect of the hosts and parameters of AMQP_URL on a connection."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from structlog.testing import capture_logs

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from tests.fault.tcp_proxy import TcpProxy
from tests.helm.certificates import Authority
from tests.loopback_server import LoopbackServer, relay_to
from worker.broker.admin.one_shot import connect
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.broker_url import HEARTBEAT_SECONDS
from worker.broker.connection import BrokerConnection, close_quietly, open_connection
from worker.domain.errors import BrokerUnavailable

CLOSED_PORT = 9
"""A port where no service listens."""


@pytest.mark.parametrize(
    ("query", "seconds"), [("", HEARTBEAT_SECONDS), ("?heartbeat=7", 7), ("?heartbeat=25", 25)]
)
async def test_the_heartbeat_of_the_broker_url_is_used(
    amqp_url: str, query: str, seconds: int
) -> None:
    connection = await open_connection(f"{amqp_url}{query}", "heartbeat")
    assert connection.transport is not None
    assert connection.transport.connection.connection_tune.heartbeat == seconds
    await close_quietly(connection)


async def test_a_virtual_host_that_does_not_exist_is_named_as_the_fault(amqp_url: str) -> None:
    with pytest.raises(BrokerUnavailable, match="virtual host of AMQP_URL does not exist"):
        await open_connection(f"{amqp_url}absent", "test")
    with pytest.raises(BrokerUnavailable, match="virtual host of AMQP_URL does not exist"):
        async with connect(f"{amqp_url}absent", "test"):
            pass


async def test_a_refused_login_names_the_setting_and_no_password(amqp_url: str) -> None:
    url = amqp_url.replace("guest:guest", "guest:of-yesterday")
    with pytest.raises(BrokerUnavailable, match="Check the user in AMQP_URL") as caught:
        await open_connection(url, "test")
    assert "of-yesterday" not in str(caught.value)


class KeptConnection:
    """A supervised connection, and the ports of the hosts that it was connected to."""

    def __init__(self, url: str) -> None:
        self.link = BrokerConnection(lambda: url, "test")
        self.ports: list[int | None] = []

    async def session(self, connection: TolerantConnection) -> None:
        self.ports.append(connection.url.port)
        self.link.mark_ready()
        channel = await connection.channel()
        await channel.closed()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.link.run(self.session))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))


@pytest.fixture
async def links(amqp_url: str) -> AsyncIterator[list[TcpProxy]]:
    """Three hosts of one broker."""
    async with AsyncExitStack() as stack:
        port = urlsplit(amqp_url).port or 5672
        yield [await stack.enter_async_context(TcpProxy(port)) for _ in range(3)]


def url_to(*ports: int, user: str = "guest:guest") -> str:
    return f"amqp://{user}@{','.join(f'127.0.0.1:{port}' for port in ports)}/"


async def test_hosts_are_tried_in_order_until_one_accepts_the_connection(
    links: list[TcpProxy], eventually: Eventually
) -> None:
    links[0].refuse()
    kept = KeptConnection(url_to(CLOSED_PORT, links[0].port, links[1].port, links[2].port))
    async with kept.running():
        await eventually(lambda: kept.ports == [links[1].port])
    assert links[2].accepted == 0


async def test_after_the_loss_of_a_host_the_next_one_is_used(
    links: list[TcpProxy], eventually: Eventually
) -> None:
    ports = [link.port for link in links]
    kept = KeptConnection(url_to(*ports))
    async with kept.running():
        for number in range(4):
            await eventually(lambda: len(kept.ports) == number + 1)  # noqa: B023 - awaited at once
            links[number % 3].cut()
        await eventually(lambda: kept.ports == [*ports, *ports[:2]])


async def test_losses_name_the_host_and_no_password(
    links: list[TcpProxy], eventually: Eventually
) -> None:
    kept = KeptConnection(url_to(CLOSED_PORT, links[0].port, user="guest:sesame"))
    with capture_logs() as logs:
        async with kept.running():
            await eventually(lambda: len(logs) >= 2)
            reason = str(kept.link.unavailable_reason)
    assert [log["host"] for log in logs[:2]] == ["127.0.0.1:9", f"127.0.0.1:{links[0].port}"]
    assert "sesame" not in str(logs) + reason
    assert reason.startswith("127.0.0.1:")


async def test_a_silent_host_does_not_hold_up_the_end(
    links: list[TcpProxy], eventually: Eventually
) -> None:
    links[0].black_hole()
    kept = KeptConnection(url_to(links[0].port))
    running = asyncio.create_task(kept.link.run(kept.session))
    await eventually(lambda: links[0].accepted == 1)
    began = time.monotonic()
    kept.link.stop()
    await running
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("password", ["p@ss:w/r?d#,%", "se,same[", "čau &+="])
async def test_credentials_may_be_percent_encoded_before_several_hosts(
    rabbitmq: RabbitMQNode, names_prefix: str, password: str
) -> None:
    user = f"{names_prefix}@a,b"
    rabbitmq.add_user(user, password)
    port = urlsplit(rabbitmq.amqp_url).port
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    connection = await open_connection(url_to(CLOSED_PORT, port or 0, user=credentials), "test")
    await close_quietly(connection)


async def test_a_host_may_be_an_address_of_ipv6(amqp_url: str) -> None:
    async with LoopbackServer(relay_to(urlsplit(amqp_url).port), host="::1") as server:
        url = f"amqp://guest:guest@127.0.0.1:{CLOSED_PORT},[::1]:{server.port}/"
        async with connect(url, "test") as connection:
            assert connection.url.host == "::1"


async def test_each_host_has_tls_and_a_wrong_certificate_leads_to_the_next_host(
    amqp_url: str, tmp_path: Path
) -> None:
    trusted, other = Authority(), Authority("other")
    (tmp_path / "ca.pem").write_text(trusted.certificate)
    contexts = []
    for number, authority in enumerate((other, trusted)):
        pair = authority.pair("broker")
        file = tmp_path / f"{number}.pem"
        file.write_text(pair.certificate + pair.key)
        contexts.append(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))
        contexts[-1].load_cert_chain(file)
    relay = relay_to(urlsplit(amqp_url).port)
    async with (
        LoopbackServer(relay, tls=contexts[0]) as first,
        LoopbackServer(relay, tls=contexts[1]) as second,
    ):
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        url = f"amqps://guest:guest@{hosts}/?cafile={tmp_path / 'ca.pem'}"
        async with connect(url, "test") as connection:
            assert connection.url.port == second.port


async def test_when_no_host_takes_the_connection_the_error_names_them_all_and_no_password(
    links: list[TcpProxy],
) -> None:
    links[0].refuse()
    url = url_to(CLOSED_PORT, links[0].port, user="guest:sesame")
    with pytest.raises(BrokerUnavailable) as raised:
        async with connect(url, "test"):
            pass
    text = str(raised.value)
    assert f"127.0.0.1:9, 127.0.0.1:{links[0].port}" in text
    assert "Is AMQP_URL right?" in text
    assert "sesame" not in text
