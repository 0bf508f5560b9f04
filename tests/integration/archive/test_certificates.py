"""Sources and storages whose certificate was signed by a private authority."""

import asyncio
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helm.certificates import Authority
from tests.integration.archive.file_source import FileSource
from tests.integration.archive.object_stores import s3_environ
from tests.loopback_server import LoopbackServer
from worker.archive.download import Download
from worker.archive.errors import SourceUnavailable, StorageUnavailable
from worker.archive.storage import ArchiveStorage
from worker.settings.trusted_authorities import trusted_authorities

BODY = b"body" * 50_000


class TlsServer(NamedTuple):
    """The context of a server, and the file of the authority that signed its certificate."""

    context: ssl.SSLContext
    authority: Path


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsServer:
    """A server's certificate, signed by an authority of the tests."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority()
    pair = authority.pair("server")
    (folder / "ca.pem").write_text(authority.certificate)
    (folder / "server.pem").write_text(pair.certificate + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return TlsServer(context, folder / "ca.pem")


@pytest.fixture(autouse=True)
def forget_authorities() -> Iterator[None]:
    """The process reads the authorities only once."""
    trusted_authorities.cache_clear()
    yield
    trusted_authorities.cache_clear()


async def read(url: str) -> bytes:
    async with Download(timeout_seconds=5, allow_private_sources=True).open(
        url, max_bytes=10**6
    ) as file:
        return b"".join([block async for block in file.blocks()])


async def test_a_source_with_an_authority_of_ssl_cert_file_is_read(
    tls: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    async with FileSource(BODY, tls=tls.context) as source:
        assert await read(source.url) == BODY


async def test_a_source_with_an_unknown_authority_is_not_read(
    tls: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with FileSource(BODY, tls=tls.context) as source:
        with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await read(source.url)
        assert source.requests == []


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("unsigned_payload", [None, "true", "false"])
async def test_the_bytes_of_an_upload_are_signed_where_tls_does_not_protect_them(
    tls: TlsServer, monkeypatch: pytest.MonkeyPatch, scheme: str, unsigned_payload: str | None
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    if unsigned_payload:
        monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", unsigned_payload)
    heads = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        await reader.readexactly(len(BODY))
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "a"\r\nContent-Length: 0\r\n\r\n')
        writer.close()

    async with LoopbackServer(answer, tls=tls.context if scheme == "https" else None) as server:
        for name, value in s3_environ(f"{scheme}://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        await ArchiveStorage.open("s3://bucket", max_retries=0).put("a", BODY, "text/plain")
    is_unsigned = unsigned_payload == "true" or (unsigned_payload is None and scheme == "https")
    payload_hash = "UNSIGNED-PAYLOAD" if is_unsigned else hashlib.sha256(BODY).hexdigest()
    assert f"x-amz-content-sha256: {payload_hash}\r\n" in heads[0]


@pytest.mark.parametrize("known", [True, False])
async def test_a_storage_needs_an_authority_that_is_known(
    tls: TlsServer, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority))
    requests = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with LoopbackServer(answer, tls=tls.context) as server:
        for name, value in s3_environ(f"https://127.0.0.1:{server.port}").items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StorageUnavailable):
            await ArchiveStorage.open("s3://bucket", max_retries=0).head("a")
    assert bool(requests) is known
