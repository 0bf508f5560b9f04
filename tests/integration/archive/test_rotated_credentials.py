"""Credentials in files that change while the worker runs."""

import asyncio
import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.integration.archive.local_server import LocalServer
from worker.archive.errors import StorageRefused
from worker.archive.storage import ArchiveStorage

PEM = (
    rsa.generate_private_key(65_537, 2048)
    .private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    .decode()
)


class KeyedStore(LocalServer):
    """Accepts only requests with the key `valid`. `keys` are those of the requests so far."""

    def __init__(self) -> None:
        self.valid = "old"
        self.keys: list[str] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(_found(r"content-length: (\d+)", head) or 0))
        self.keys.append(_key(head))
        status = "200 OK" if self.keys[-1] == self.valid else "403 Forbidden"
        answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nETag: x\r\nConnection: close\r\n\r\n"
        writer.write(answer.encode())
        writer.close()


def _found(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text, re.IGNORECASE)
    return found[1] if found else None


def _key(head: str) -> str:
    """The key that signed a request: that of S3's signature or that of Google's token."""
    if named := _found(r"Credential=([^/]+)/", head):
        return named
    token = _found(r"authorization: Bearer ([^.]+)\.", head) or ""
    return str(json.loads(base64.urlsafe_b64decode(token + "=="))["kid"])


def google(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the file of a service account."""
    path = folder / "google.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    account = {"type": "service_account", "client_email": "a@b.example", "private_key": PEM}
    return lambda key: _write(path, json.dumps(account | {"private_key_id": key}))


def amazon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Write the shared file of credentials."""
    path = folder / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    text = "[default]\naws_access_key_id={}\naws_secret_access_key=secret\n"
    return lambda key: _write(path, text.format(key))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize(
    ("scheme", "variable", "provider"),
    [("gs", "GOOGLE_BASE_URL", google), ("s3", "AWS_ENDPOINT_URL", amazon)],
)
async def test_a_refusal_has_the_credentials_read_again(
    scheme: str,
    variable: str,
    provider: Callable[[Path, pytest.MonkeyPatch], Callable[[str], None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = provider(tmp_path, monkeypatch)
    write("old")
    async with KeyedStore() as store:
        monkeypatch.setenv(variable, store.url)
        storage = ArchiveStorage.open(f"{scheme}://bucket/prefix", max_retries=0)
        await storage.put("a", b"x", "text/plain")
        write("new")
        store.valid = "new"
        with pytest.raises(StorageRefused):
            await storage.put("a", b"x", "text/plain")
        await storage.put("a", b"x", "text/plain")
    assert store.keys == ["old", "old", "new"]


async def test_wrong_credentials_leave_the_storage_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is read when half of it is written."""
    write = google(tmp_path, monkeypatch)
    write("old")
    async with KeyedStore() as store:
        monkeypatch.setenv("GOOGLE_BASE_URL", store.url)
        storage = ArchiveStorage.open("gs://bucket/prefix", max_retries=0)
        (tmp_path / "google.json").write_text("{")
        store.valid = "new"
        with pytest.raises(StorageRefused):
            await storage.put("a", b"x", "text/plain")
        store.valid = "old"
        await storage.put("a", b"x", "text/plain")
