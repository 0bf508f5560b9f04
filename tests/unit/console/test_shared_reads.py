"""Reads that many browsers share."""

import asyncio

import pytest

from worker.console.shared_reads import SharedReads


class Source:
    """A read that waits to be released, and counts."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.count = self.at_once = self.most_at_once = 0

    async def read(self) -> int:
        self.count += 1
        number = self.count
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.release.wait()
        self.at_once -= 1
        return number


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_during_a_read_share_the_next_read() -> None:
    reads, source = SharedReads[int](), Source()
    first = asyncio.create_task(reads.get(24, source.read))
    await settle()
    others = [asyncio.create_task(reads.get(24, source.read)) for _ in range(9)]
    await settle()

    source.release.set()

    assert await first == 1
    assert await asyncio.gather(*others) == [2] * 9
    assert (source.count, source.most_at_once) == (2, 1)
    assert await reads.get(24, source.read) == 3


async def test_a_read_of_one_key_does_not_wait_for_a_read_of_another() -> None:
    reads, source = SharedReads[int](), Source()
    tasks = [asyncio.create_task(reads.get(key, source.read)) for key in (1, 24)]
    await settle()

    assert source.most_at_once == 2
    source.release.set()
    assert sorted(await asyncio.gather(*tasks)) == [1, 2]


async def test_a_cancelled_request_does_not_end_the_read_of_the_others() -> None:
    reads, source = SharedReads[int](), Source()
    cancelled, other = (asyncio.create_task(reads.get(1, source.read)) for _ in range(2))
    await settle()

    cancelled.cancel()
    source.release.set()

    assert await other == 1


async def test_an_error_reaches_everybody_and_the_next_read_is_tried() -> None:
    reads, source = SharedReads[int](), Source()

    async def fail() -> int:
        raise ValueError("away")

    for task in [asyncio.create_task(reads.get(1, fail)) for _ in range(2)]:
        with pytest.raises(ValueError, match="away"):
            await task
    source.release.set()
    assert await reads.get(1, source.read) == 1
