"""The variable that names the endpoint of S3, if several are set."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations

import pytest

from tests.integration.archive.local_server import LocalServer
from tests.integration.archive.object_stores import s3_environ
from worker.archive.errors import ArchiveError, StorageRefused
from worker.archive.storage import ArchiveStorage

NAMES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""The first one that is set counts."""


class AskedServer(LocalServer):
    """Counts requests, and has no objects."""

    def __init__(self, status: str = "404 Not Found") -> None:
        self.requests = 0
        self._status = status

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        head = f"HTTP/1.1 {self._status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()
        writer.close()


@pytest.mark.parametrize("names", [*combinations(NAMES, 2), NAMES])
async def test_objects_and_abandoned_uploads_are_looked_for_at_one_endpoint(
    names: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AskedServer() as configured, AskedServer() as other:
        for name, value in s3_environ(other.url).items():
            monkeypatch.setenv(name, value)
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name in names:
            monkeypatch.setenv(name, configured.url if name == names[0] else other.url)
        storage = ArchiveStorage.open("s3://bucket", max_retries=0)
        with pytest.raises(ArchiveError):
            await storage.head("a.webm")
        with pytest.raises(ArchiveError):
            await storage.abort_abandoned(started_before=datetime.now(UTC))
    assert (configured.requests, other.requests) == (2, 0)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_a_bucket_of_another_region_is_a_refusal_for_every_request(
    status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AskedServer(status) as server:
        for name, value in s3_environ(server.url).items():
            monkeypatch.setenv(name, value)
        storage = ArchiveStorage.open("s3://bucket", max_retries=0)
        with pytest.raises(StorageRefused, match="another region or at another endpoint"):
            await storage.put("a.webm", b"x", "video/webm")
        with pytest.raises(StorageRefused, match="another region or at another endpoint"):
            await storage.head("a.webm")
        assert await storage.sha256_of("a.webm") is None
        with pytest.raises(ArchiveError):
            await storage.abort_abandoned(started_before=datetime.now(UTC))
