"""The error text when TLS to the broker fails: the cause, and the faulty part of AMQP_URL."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from tests.helm.certificates import Authority
from tests.loopback_server import LoopbackServer, relay_to
from worker.broker.admin.one_shot import connect
from worker.broker.connection import close_quietly, open_connection
from worker.domain.errors import BrokerUnavailable

TLS_1_2: Final = ssl.TLSVersion.TLSv1_2
TLS_1_3: Final = ssl.TLSVersion.TLSv1_3


class Files:
    """The PEM files of a broker and its clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority, self.other = Authority(), Authority("other")
        self.add("ca", self.authority.certificate)
        self.add("other-ca", self.other.certificate)
        for name, authority in (("client", self.authority), ("stranger", self.other)):
            pair = authority.pair("guest")
            self.add(name, pair.certificate + pair.key)

    def add(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_text(text)
        return path

    def server(
        self, *, version: ssl.TLSVersion = TLS_1_3, wants_client: bool = False, days: int = 0
    ) -> ssl.SSLContext:
        """The broker's side of TLS. With `days`, its certificate is that much older than a valid
        one."""
        pair = self.authority.pair("broker", days_ago=days)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(self.add("broker", pair.certificate + pair.key))
        if wants_client:
            context.load_verify_locations(self.folder / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@contextmanager
def refusing_server(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that shakes hands once. Unlike asyncio's, it reports why it refuses."""

    def shake_hands() -> None:
        peer, _ = listener.accept()
        with context.wrap_socket(
            peer, server_side=True, do_handshake_on_connect=False
        ) as peer_of_tls:
            with suppress(ssl.SSLError):
                peer_of_tls.do_handshake()
            peer_of_tls.shutdown(socket.SHUT_WR)
            while peer_of_tls.recv(4096):  # unread bytes would reset the connection
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        done = threads.submit(shake_hands)
        yield listener.getsockname()[1]
        done.result()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def reason(amqp_url: str, tls: ssl.SSLContext | None, url: str) -> str:
    """The error of the command line when it cannot connect to a broker with this TLS."""
    async with LoopbackServer(relay_to(urlsplit(amqp_url).port), tls=tls) as server:
        return await reason_at(server.port, url)


async def reason_at(port: int, url: str) -> str:
    with pytest.raises(BrokerUnavailable) as raised:
        async with connect(url.replace("PORT", str(port)), "test"):
            pass
    assert "sesame" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
async def test_a_broker_with_one_version_of_tls_and_client_certificates_is_reached(
    amqp_url: str, files: Files, version: ssl.TLSVersion
) -> None:
    tls = files.server(version=version, wants_client=True)
    async with LoopbackServer(relay_to(urlsplit(amqp_url).port), tls=tls) as server:
        ca, client = files.folder / "ca.pem", files.folder / "client.pem"
        url = f"amqps://guest:guest@127.0.0.1:{server.port}/?cafile={ca}&certfile={client}"
        await close_quietly(await open_connection(url, "test"))


@pytest.mark.parametrize(
    ("host", "ca", "days", "words"),
    [
        ("127.0.0.1", "other-ca", 0, "`cafile` in AMQP_URL"),
        ("localhost", "ca", 0, "Use a host in AMQP_URL that the broker's certificate names"),
        ("127.0.0.1", "ca", 9, "Renew the broker's certificate"),
    ],
    ids=["authority", "host", "period"],
)
async def test_a_refused_certificate_is_reported_with_advice(
    amqp_url: str, files: Files, host: str, ca: str, days: int, words: str
) -> None:
    url = f"amqps://guest:sesame@{host}:PORT/?cafile={files.folder / ca}.pem"
    assert words in await reason(amqp_url, files.server(days=days), url)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("client", [None, "stranger"])
async def test_a_client_certificate_that_is_missing_or_refused_is_reported(
    files: Files, client: str | None, version: ssl.TLSVersion
) -> None:
    url = f"amqps://guest:sesame@127.0.0.1:PORT/?cafile={files.folder / 'ca.pem'}"
    if client:
        url += f"&certfile={files.folder / client}.pem"
    with refusing_server(files.server(version=version, wants_client=True)) as port:
        text = await reason_at(port, url)
    assert "The broker refuses the client certificate, or requires one" in text


async def test_a_tls_connection_that_is_cut_off_asks_for_the_client_certificate(
    files: Files,
) -> None:
    async def cut(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    url = f"amqps://guest:sesame@127.0.0.1:PORT/?cafile={files.folder / 'ca.pem'}"
    async with LoopbackServer(cut, tls=files.server()) as server:
        text = await reason_at(server.port, url)
    assert "If the broker requires a client certificate" in text


async def test_a_port_without_tls_and_a_port_with_tls_are_distinguished(
    amqp_url: str, files: Files
) -> None:
    url = f"amqps://guest:sesame@127.0.0.1:PORT/?cafile={files.folder / 'ca.pem'}"
    assert "AMQP_URL needs amqp://" in await reason(amqp_url, None, url)
    plain = "amqp://guest:sesame@127.0.0.1:PORT/"
    assert "AMQP_URL needs amqps://" in await reason(amqp_url, files.server(), plain)


@pytest.mark.parametrize("content", [None, "rubbish"], ids=["removed", "overwritten"])
async def test_a_file_that_was_damaged_while_the_worker_runs_is_reported(
    amqp_url: str, files: Files, content: str | None
) -> None:
    client = files.folder / "client.pem"
    client.unlink() if content is None else client.write_text(content)
    ca = files.folder / "ca.pem"
    url = f"amqps://guest:sesame@127.0.0.1:PORT/?cafile={ca}&certfile={client}"
    assert "in AMQP_URL must be PEM files" in await reason(amqp_url, files.server(), url)


async def test_an_authentication_that_the_broker_does_not_offer_is_reported(
    amqp_url: str, files: Files
) -> None:
    client, ca = files.folder / "client.pem", files.folder / "ca.pem"
    query = f"cafile={ca}&certfile={client}&auth=external"
    url = f"amqps://guest:sesame@127.0.0.1:PORT/?{query}"
    text = await reason(amqp_url, files.server(), url)
    assert "which does not include `auth` of AMQP_URL" in text
