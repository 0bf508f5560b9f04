"""Objects in real storages."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from worker.archive.errors import StorageRefused
from worker.archive.storage import ArchiveStorage

MIB = 1024 * 1024
PART = 5 * MIB
BLOCK = bytes(range(256)) * 4096
LATER = timedelta(hours=1)
KEYS = ["a.webm", "app/meeting/ü b+c%20&=~.webm", "a/" + "x" * 200 + "/b.mp4", "日本/🎥.webm"]

STORES = ["folder", "rclone", "moto", "azurite"]

pytestmark = pytest.mark.parametrize("store_server", STORES, indirect=True)


async def blocks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield BLOCK


async def read(storage: ArchiveStorage, key: str) -> bytes:
    return b"".join([block async for block in storage.read(key)])


@pytest.mark.parametrize("key", KEYS)
async def test_an_object_is_read_back_as_it_was_put(storage: ArchiveStorage, key: str) -> None:
    await storage.put(key, b"first", "application/json")
    await storage.put(key, b"again", "application/json")
    assert await storage.head(key) == 5
    assert await read(storage, key) == b"again"


@pytest.mark.parametrize("count", [1, 5, 12])
async def test_an_object_is_read_back_as_it_was_uploaded(
    storage: ArchiveStorage, count: int
) -> None:
    await storage.upload("a/b.webm", blocks(count), "video/webm", part_bytes=PART)
    assert await storage.head("a/b.webm") == count * MIB
    assert await read(storage, "a/b.webm") == BLOCK * count


async def test_an_object_that_is_missing_is_a_refusal(storage: ArchiveStorage) -> None:
    with pytest.raises(StorageRefused):
        await storage.head("missing.webm")
    with pytest.raises(StorageRefused):
        await read(storage, "missing.webm")


@pytest.mark.parametrize("key", ["../outside.webm", "a//b.webm", "a/./b.webm", "a/\n.webm"])
async def test_no_key_leaves_the_prefix(storage: ArchiveStorage, key: str) -> None:
    with pytest.raises(StorageRefused):
        await storage.put(key, b"x", "video/webm")


async def test_a_source_that_fails_leaves_no_object_and_no_parts(storage: ArchiveStorage) -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for block in blocks(12):
            yield block
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        await storage.upload("a.webm", failing(), "video/webm", part_bytes=PART)
    assert await nothing_is_left(storage, "a.webm")


async def test_a_cancelled_upload_leaves_no_object_and_no_parts(storage: ArchiveStorage) -> None:
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for block in blocks(12):
            yield block
        sent.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(storage.upload("a.webm", endless(), "video/webm", part_bytes=PART))
    await sent.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert await nothing_is_left(storage, "a.webm")


async def nothing_is_left(storage: ArchiveStorage, key: str) -> bool:
    with pytest.raises(StorageRefused):
        await storage.head(key)
    return await storage.abort_abandoned(started_before=datetime.now(UTC) + LATER) == 0
