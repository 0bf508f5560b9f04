"""Copies files with the archive's copier: `python -m benchmarks.archive.worker URL COUNT AT_ONCE`.

The archive is at the URL of the variable ARCHIVE. When it is ready, it prints how many CPU seconds
the checksums of a GB take. It begins after a line on stdin, because an archiving worker has usually
been running for a long time.
"""

import asyncio
import os
import sys
import time
from typing import Final

import uvloop

from worker.archive.checksums import Checksums
from worker.archive.copier import Copier
from worker.archive.download import Download
from worker.archive.storage import ArchiveStorage

PART_BYTES: Final = 8 * 1024 * 1024
MEGABYTES_OF_CHECKSUMS: Final = 256


async def main(url: str, count: int, at_once: int) -> None:
    """Copy the file `count` times, each time to a different key."""
    storage = ArchiveStorage.open(os.environ["ARCHIVE"])
    download = Download(timeout_seconds=60, allow_private_sources=True)
    copier = Copier(storage, download, part_bytes=PART_BYTES, max_file_bytes=2**36)
    places = asyncio.Semaphore(at_once)

    async def copy(index: int) -> None:
        async with places:
            await copier.copy(url, f"copies/{index}", file_name="a.webm", media_kind="video")

    await storage.put("warm", b"opens the connections", "text/plain")
    print(_cpu_of_checksums(storage), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with asyncio.TaskGroup() as group:
        for index in range(count):
            group.create_task(copy(index))


def _cpu_of_checksums(storage: ArchiveStorage) -> float:
    """CPU seconds per GB."""
    checksums = Checksums(PART_BYTES, part_hash=storage.part_hash)
    block, began = os.urandom(1_000_000), time.thread_time()
    for _ in range(MEGABYTES_OF_CHECKSUMS):
        checksums.update(block)
    return (time.thread_time() - began) / MEGABYTES_OF_CHECKSUMS * 1000


uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
