"""The SHA-256 that S3 keeps of an object, on moto."""

from collections.abc import AsyncIterator

import pytest

from worker.archive.checksums import Checksums
from worker.archive.storage import ArchiveStorage

PART = 5 * 1024 * 1024
BLOCK = bytes(range(256)) * 4096

pytestmark = pytest.mark.parametrize("store_server", ["moto"], indirect=True)


@pytest.fixture
def storage(archive_url: str, monkeypatch: pytest.MonkeyPatch) -> ArchiveStorage:
    """A storage that keeps checksums."""
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "SHA256")
    return ArchiveStorage.open(archive_url, request_timeout_seconds=10)


@pytest.mark.parametrize("key", ["a.webm", "app/ü b+c%20&=~.webm"])
@pytest.mark.parametrize("count", [6, 10, 12])
async def test_the_sha256_of_an_upload_in_parts_proves_these_bytes_and_no_others(
    storage: ArchiveStorage, key: str, count: int
) -> None:
    sent, other = (Checksums(PART, part_hash=storage.part_hash) for _ in range(2))

    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(count):
            sent.update(BLOCK)
            other.update(BLOCK[::-1])
            yield BLOCK

    await storage.upload(key, blocks(), "video/webm", part_bytes=PART)
    stored_sha256 = await storage.sha256_of(key)
    assert stored_sha256 is not None
    assert sent.prove(stored_sha256)
    assert not other.prove(stored_sha256)


async def test_a_missing_object_has_no_sha256(storage: ArchiveStorage) -> None:
    assert await storage.sha256_of("missing.webm") is None
