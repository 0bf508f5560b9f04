"""The comparison of a copy with the stored object, at an S3 that returns wrong values."""

import asyncio
import base64
import hashlib
import random
from typing import Any

import pytest

from tests.integration.archive.file_source import FileSource, Turn
from tests.integration.archive.local_server import LocalServer
from tests.integration.archive.object_stores import s3_environ
from worker.archive.copier import Copier
from worker.archive.download import Download
from worker.archive.errors import CopyDiffers, StorageRefused
from worker.archive.storage import ArchiveStorage
from worker.domain.archive import CopiedFile

BODY = random.Random(1).randbytes(100_000)
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


class OddS3(LocalServer):
    """Takes an object, and answers reads with this ETag and this body.

    `kept` is the SHA-256 in its answers. `surplus` is appended to the body. `downloads` counts the
    requests to the source of the file.
    """

    def __init__(
        self,
        etag: str,
        stored: bytes,
        *,
        put_status: str = "200 OK",
        kept: str | None = None,
        surplus: bytes = b"",
    ) -> None:
        self._surplus = surplus
        self._kept = kept
        self._etag = etag
        self._stored = stored
        self._put_status = put_status
        self.methods: list[str] = []
        self.downloads = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method = head.partition(" ")[0]
        self.methods.append(method)
        if method == "PUT":
            await reader.readexactly(len(BODY))
        writes = method in {"PUT", "POST"}
        body = self._stored + self._surplus if method == "GET" else self._stored
        length = 0 if writes else len(body)
        lines: tuple[str, ...] = (
            f"HTTP/1.1 {self._put_status if writes else '200 OK'}",
            f'ETag: "{self._etag}"',
            f"Content-Length: {length}",
            "Last-Modified: Sun, 29 Nov 2026 11:00:00 GMT",
            "Connection: close",
        )
        if self._kept and "x-amz-checksum-mode: enabled" in head.lower():
            lines += (f"x-amz-checksum-sha256: {self._kept}",)
        writer.write("\r\n".join((*lines, "", "")).encode())
        writer.write(body if method == "GET" else b"")
        await writer.drain()
        writer.close()


async def copy(store: OddS3, monkeypatch: pytest.MonkeyPatch, **turn: Any) -> CopiedFile:
    for name, value in s3_environ(store.url).items():
        monkeypatch.setenv(name, value)
    storage = ArchiveStorage.open("s3://bucket", max_retries=0)
    download = Download(timeout_seconds=5, allow_private_sources=True)
    copier = Copier(storage, download, part_bytes=5_242_880, max_file_bytes=10**9)
    async with FileSource(BODY, otherwise=Turn(**turn)) as source:
        try:
            return await copier.copy(source.url, "a.webm", file_name="a.webm", media_kind="video")
        finally:
            store.downloads = len(source.requests)


async def test_an_etag_that_is_the_md5_proves_a_copy_without_reading_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3(MD5, BODY) as store:
        await copy(store, monkeypatch)
    assert store.methods == ["PUT", "HEAD"]


@pytest.mark.parametrize("etag", ["0" * 32, "8d7a-2", "opaque"])
async def test_with_any_other_etag_the_object_is_read_back(
    etag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OddS3(etag, BODY) as store:
        copied = await copy(store, monkeypatch)
    assert store.methods == ["PUT", "HEAD", "GET"]
    assert copied.sha256 == hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def keeps_sha256(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage keeps checksums, as AWS does."""
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "SHA256")


@pytest.mark.usefixtures("keeps_sha256")
async def test_the_sha256_that_the_storage_keeps_proves_a_copy_with_any_etag(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3("of-kms", BODY, kept=SHA256) as store:
        copied = await copy(store, monkeypatch)
    assert store.methods == ["PUT", "HEAD", "HEAD"]
    assert copied.sha256 == hashlib.sha256(BODY).hexdigest()


@pytest.mark.usefixtures("keeps_sha256")
@pytest.mark.parametrize("kept", [None, f"{SHA256}-2", "0" * 44])
async def test_with_any_other_sha256_the_object_is_read_back(
    kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OddS3(MD5, BODY, kept=kept) as store:
        await copy(store, monkeypatch)
    assert store.methods == ["PUT", "HEAD", "HEAD", "GET"]


@pytest.mark.usefixtures("keeps_sha256")
async def test_other_bytes_are_not_announced_where_the_storage_keeps_their_sha256(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = BODY[:-1] + bytes([BODY[-1] ^ 1])
    kept = base64.b64encode(hashlib.sha256(other).digest()).decode()
    async with OddS3("opaque", other, kept=kept) as store:
        with pytest.raises(CopyDiffers, match="checksum_differs"):
            await copy(store, monkeypatch)


async def test_an_object_with_other_bytes_is_not_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3("opaque", BODY[:-1] + bytes([BODY[-1] ^ 1])) as store:
        with pytest.raises(CopyDiffers, match="checksum_differs"):
            await copy(store, monkeypatch)


@pytest.mark.parametrize("stored", [BODY[:-1], BODY + b"x", b""])
async def test_an_object_of_another_size_is_not_announced(
    stored: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OddS3(MD5, stored) as store:
        with pytest.raises(CopyDiffers, match="size_differs"):
            await copy(store, monkeypatch)


async def test_an_object_that_is_longer_than_its_head_says_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3("opaque", BODY, surplus=bytes(50_000_000)) as store:
        with pytest.raises(CopyDiffers, match=r"size_differs: .* has more than 100000 bytes"):
            await copy(store, monkeypatch)


async def test_a_copy_that_is_there_already_counts_where_no_object_may_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3("opaque", BODY, put_status="403 Forbidden") as store:
        copied = await copy(store, monkeypatch)
    assert store.methods == ["PUT", "HEAD", "HEAD", "GET"]
    assert copied.sha256 == hashlib.sha256(BODY).hexdigest()


async def test_a_file_is_downloaded_once_where_its_object_may_not_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3("opaque", BODY, put_status="403 Forbidden") as store:
        await copy(store, monkeypatch)
    assert store.downloads == 1


async def test_a_copy_that_is_there_already_counts_also_if_the_source_does_not_say_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with OddS3("opaque", BODY, put_status="403 Forbidden") as store:
        copied = await copy(store, monkeypatch, chunked=True)
    assert store.methods == ["POST", "HEAD", "HEAD", "GET"]
    assert copied.size_bytes == len(BODY)


async def test_a_file_is_read_again_if_its_upload_is_refused_before_all_bytes_have_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = BODY * 100
    async with OddS3("opaque", large, put_status="403 Forbidden") as store:
        copied = await copy(store, monkeypatch, chunked=True, body=large)
    assert (store.methods, store.downloads) == (["POST", "HEAD", "HEAD", "GET"], 2)
    assert copied.size_bytes == len(large)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("stored", [b"x" + BODY[1:], BODY[1:]])
async def test_another_object_that_may_not_be_replaced_is_a_refusal(
    stored: bytes, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OddS3("opaque", stored, put_status="403 Forbidden") as store:
        with pytest.raises(StorageRefused, match=r"failed to write a\.webm: HTTP 403"):
            await copy(store, monkeypatch, chunked=chunked)
