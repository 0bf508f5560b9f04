"""The memory that a large file takes."""

import asyncio
import sys

import msgspec
import pytest

from tests.integration.archive.file_source import FileSource

MIB = 1024 * 1024
SIZE = 300_000_000
MAX_GROWTH = 64 * MIB  # two parts in flight, one being filled, and buffers

COPY = """
import asyncio, json, sys
import uvloop
from worker.archive.copier import Copier
from worker.archive.download import Download
from worker.archive.storage import ArchiveStorage

def memory(field):
    for line in open("/proc/self/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024

async def main(url, archive):
    storage = ArchiveStorage.open(archive)
    await storage.put("small", b"opens the connections", "text/plain")
    download = Download(timeout_seconds=60, allow_private_sources=True)
    copier = Copier(storage, download, part_bytes=8 * 1024 * 1024, max_file_bytes=10**9)
    before = memory("VmRSS")
    copied = await copier.copy(url, "large.webm", file_name="large.webm", media_kind="video")
    print(json.dumps({"size": copied.size_bytes, "growth": memory("VmHWM") - before}))

uvloop.run(main(*sys.argv[1:]))
"""


class Outcome(msgspec.Struct):
    """The last output of the copying process."""

    size: int
    growth: int


@pytest.mark.parametrize("store_server", ["rclone"], indirect=True)
async def test_a_large_file_takes_no_more_memory_than_a_few_parts(archive_url: str) -> None:
    async with FileSource(bytes(SIZE)) as source:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COPY, source.url, archive_url, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    outcome = msgspec.json.decode(output, type=Outcome)
    assert outcome.size == SIZE
    assert outcome.growth < MAX_GROWTH
