"""Whose turn it is to be read, when there are many."""

import uuid
from collections.abc import AsyncIterator

import pytest

from recording_schemas import Status
from sandbox.faults import Fault
from tests.integration.following import PATIENCE, Bench, open_bench
from worker.reader import READS_AT_ONCE


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[Bench]:
    async with open_bench(sqlite_url) as opened:
        yield opened


async def test_files_do_not_wait_for_hundreds_that_are_overdue(bench: Bench) -> None:
    upload = await bench.start()
    await bench.follow(2)
    stuck = bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    many = [await bench.start(meeting=str(uuid.uuid4())) for _ in range(5 * READS_AT_ONCE)]
    bench.sandbox.faults.clear(stuck)
    await bench.api.act(upload, "stop")
    bench.sandbox.clock.advance(PATIENCE.invoked_timeout + 1)
    await bench.webhook(upload, Status.UPLOADED)
    await bench.sweep.once()
    await bench.reader.once()
    subjects = [one["subject"] for one in await bench.events()]
    given_up = [one["data"].get("error") is not None for one in await bench.events()]
    files_told_at = len(subjects) - 1 - subjects[::-1].index(upload)
    assert sum(given_up[:files_told_at]) < 2 * READS_AT_ONCE
    assert sum(given_up) == len(many)
