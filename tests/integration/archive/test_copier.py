"""Files copied from a source that misbehaves to real storages."""

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.archive.file_source import FileSource, Turn
from worker.archive.copier import Copier
from worker.archive.download import Download
from worker.archive.errors import (
    SourceDenied,
    SourceDoubtful,
    SourceUnavailable,
    StorageRefused,
)
from worker.archive.storage import ArchiveStorage
from worker.domain.archive import CopiedFile

MIB = 1024 * 1024
PART = 5 * MIB
BODY = random.Random(1).randbytes(2 * PART + 12_345)
MAX = 40 * MIB
KEY = "app/meeting/recording/track.webm"

pytestmark = pytest.mark.parametrize("store_server", ["folder", "rclone"], indirect=True)


async def at_once(_: float) -> None:
    """Does not wait between the attempts to resume."""


@pytest.fixture
def copier(storage: ArchiveStorage) -> Copier:
    download = Download(timeout_seconds=5, allow_private_sources=True, sleep=at_once)
    return Copier(storage, download, part_bytes=PART, max_file_bytes=MAX)


async def copy(copier: Copier, source: FileSource) -> CopiedFile:
    return await copier.copy(source.url, KEY, file_name="track.webm", media_kind="audio")


@pytest.mark.parametrize("size", [1, PART, PART + 1, len(BODY)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_copy_has_the_bytes_of_the_source(
    storage: ArchiveStorage, archive_url: str, copier: Copier, size: int, chunked: bool
) -> None:
    async with FileSource(BODY[:size], Turn(chunked=chunked)) as source:
        copied = await copy(copier, source)
    assert copied == CopiedFile(
        archive_url=f"{archive_url}/{KEY}",
        size_bytes=size,
        sha256=hashlib.sha256(BODY[:size]).hexdigest(),
        content_type="audio/webm",
        duration_seconds=None,
    )
    assert b"".join([block async for block in storage.read(KEY)]) == BODY[:size]


async def test_a_copy_survives_breaks_of_the_transfer(copier: Copier) -> None:
    turns = [Turn(break_after=7 * MIB), Turn(end_after=100), Turn(break_after=2 * MIB)]
    async with FileSource(BODY, *turns) as source:
        copied = await copy(copier, source)
    assert copied.sha256 == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    ("turns", "error"),
    [
        ([Turn(break_after=7 * MIB, etag=None)], SourceUnavailable),
        ([Turn(break_after=7 * MIB), Turn(etag='"v2"')], SourceUnavailable),
        ([Turn(break_after=7 * MIB), Turn(status=403)], SourceDenied),
        ([Turn(chunked=True, body=bytes(MAX + 1))], SourceDoubtful),
        ([Turn(body=b"")], SourceDoubtful),
        ([Turn(body=b"", chunked=True)], SourceDoubtful),
    ],
)
async def test_a_failed_copy_leaves_the_object_as_it_was_and_no_parts(
    storage: ArchiveStorage, copier: Copier, turns: list[Turn], error: type[Exception]
) -> None:
    await storage.put(KEY, b"before", "audio/webm")
    async with FileSource(BODY, *turns) as source:
        with pytest.raises(error):
            await copy(copier, source)
    assert await storage.head(KEY) == len(b"before")
    after = datetime.now(UTC) + timedelta(hours=1)
    assert await storage.abort_abandoned(started_before=after) == 0


async def test_a_copy_again_takes_the_place_of_the_first(copier: Copier) -> None:
    async with FileSource(BODY, Turn(), Turn(body=BODY[:100])) as source:
        await copy(copier, source)
        assert (await copy(copier, source)).size_bytes == 100


@pytest.mark.parametrize("size", [10, PART + 1])
async def test_a_storage_that_says_no_is_named_with_its_words(
    storage: ArchiveStorage, archive_url: str, size: int
) -> None:
    if archive_url.startswith("file:"):
        await storage.put("app", b"a file in the place of a folder", "text/plain")
        words = "os error"
    else:
        archive_url, words = "s3://no-such-bucket/prefix", "HTTP 404, NoSuchBucket"
    download = Download(timeout_seconds=5, allow_private_sources=True)
    copier = Copier(ArchiveStorage.open(archive_url), download, part_bytes=PART, max_file_bytes=MAX)
    async with FileSource(BODY[:size]) as source:
        with pytest.raises(StorageRefused, match=words):
            await copy(copier, source)
