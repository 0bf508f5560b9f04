"""The file of SSL_CERT_FILE is replaced while the worker runs."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from tests.helm.certificates import Authority
from tests.loopback_server import LoopbackServer
from worker.realtimekit.http.proxy import ProxyTransport
from worker.realtimekit.http.transport import HttpTransport
from worker.settings.trusted_authorities import trusted_authorities

Ask = Callable[[int], Awaitable[None]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Every request is refused, including the CONNECT of a tunnel."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


def tls_of(authority: Authority, folder: Path) -> ssl.SSLContext:
    pair = authority.pair("server")
    (folder / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """SSL_CERT_FILE with one authority that signed no certificate of these tests."""
    file = tmp_path / "trusted.pem"
    file.write_text(Authority("first").certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    trusted_authorities.cache_clear()
    yield file
    trusted_authorities.cache_clear()


def replace(file: Path, text: str) -> None:
    """Replace the file as Kubernetes does, by another file of the same name."""
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)  # noqa: PTH105 - a rename that replaces


async def is_refused(transport: httpx.AsyncBaseTransport, url: str) -> bool:
    """Whether the TLS handshake fails, not only the request."""
    request = httpx.Request("GET", url, extensions={"timeout": {"connect": 5.0, "pool": 5.0}})
    try:
        response = await transport.handle_async_request(request)
    except httpx.ConnectError as error:
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    except httpx.ProxyError:
        return False
    assert response.status_code == 403
    return False


@pytest.mark.parametrize("by_proxy", [False, True], ids=["direct", "proxy"])
async def test_a_new_authority_is_trusted_by_the_next_connection_without_a_restart(
    trusted: Path, tmp_path: Path, by_proxy: bool
) -> None:
    second = Authority("second")
    async with LoopbackServer(answer, tls=tls_of(second, tmp_path)) as server:
        url = f"https://127.0.0.1:{server.port}"
        transport = ProxyTransport(url) if by_proxy else HttpTransport()
        assert await is_refused(transport, url)
        replace(trusted, trusted.read_text() + second.certificate)
        assert not await is_refused(transport, url)
        await transport.aclose()


async def test_a_damaged_file_of_authorities_changes_nothing_and_is_logged_until_it_is_whole(
    trusted: Path, tmp_path: Path
) -> None:
    second = Authority("second")
    async with LoopbackServer(answer, tls=tls_of(second, tmp_path)) as server:
        url = f"https://127.0.0.1:{server.port}"
        transport = HttpTransport()
        replace(trusted, second.certificate)
        assert not await is_refused(transport, url)
        with capture_logs() as lines:
            trusted.unlink()
            assert not await is_refused(transport, url)
            assert lines == []
            trusted.write_text("half a cert")
            assert not await is_refused(transport, url)
            assert not await is_refused(transport, url)
        assert [line["event"] for line in lines] == ["authorities_not_read"]
        await transport.aclose()
