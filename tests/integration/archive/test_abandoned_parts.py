"""Parts that a killed process leaves in a storage."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import pytest

from worker.archive.storage import ArchiveStorage

LATER = timedelta(hours=1)

pytestmark = pytest.mark.parametrize("store_server", ["folder", "rclone", "moto"], indirect=True)

KILLED = """
import asyncio, os, sys
from worker.archive.storage import ArchiveStorage

async def blocks():
    for _ in range(11):
        yield bytes(1024 * 1024)
    print("sent", flush=True)
    await asyncio.Event().wait()

async def main():
    storage = ArchiveStorage.open(sys.argv[1])
    part = 5 * 1024 * 1024
    uploads = (storage.upload(key, blocks(), "video/webm", part_bytes=part) for key in sys.argv[2:])
    await asyncio.gather(*uploads)

asyncio.run(main())
"""


async def test_the_remains_of_a_killed_process_are_removed_by_key_and_by_age(
    storage: ArchiveStorage, archive_url: str
) -> None:
    await storage.put("app/a.webm", b"before", "video/webm")
    command = (sys.executable, "-c", KILLED, archive_url, "app/a.webm", "app/b.webm")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(2):
        assert await process.stdout.readline() == b"sent\n"
    process.kill()
    await process.wait()
    after = datetime.now(UTC) + LATER
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)  # moto dates the beginning of every upload to 2010
    assert await storage.abort_abandoned(started_before=long_ago) == 0
    assert await storage.abort_abandoned(started_before=after, key="app/a") == 0
    assert await storage.abort_abandoned(started_before=after, key="app/a.webm") == 1
    assert await storage.abort_abandoned(started_before=after) == 1
    assert await storage.abort_abandoned(started_before=after) == 0
    assert b"".join([block async for block in storage.read("app/a.webm")]) == b"before"
