"""Commands do not wait for the webhooks and lists of thousands that end together."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.store_requests import claim_request, observation_of
from worker.budget.ledger import TokenRequest
from worker.domain.rate import Rate
from worker.domain.recording import Observation
from worker.domain.snapshot import FoundFile, RecordingSnapshot
from worker.store.database.group_commit import GroupCommit
from worker.store.database.submission_queue import MAX_OTHERS
from worker.store.due_reads import DueQuery
from worker.store.leases import LeaseRequest
from worker.store.observations import WebhookObservation
from worker.store.outbox_marks import PageMarks
from worker.store.read_schedule import MAX_LIVE_ROWS, MAX_ROWS, ScheduledRead
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
MANY = 4 * MAX_OTHERS


def observation(number: int, status: Status = Status.RECORDING) -> Observation:
    snapshot = RecordingSnapshot(recording_id=f"r{number}", status=status, kind="composite")
    return observation_of(snapshot, NOW)


async def claim(store: Store) -> object:
    return await store.claim(claim_request("stop", "stop_recording", now=1.0))


async def acquire_tokens(store: Store) -> object:
    request = TokenRequest(rates=(Rate(1000, 50),), needed=(1, 0, 0))
    return await store.acquire_tokens("budget", request)


async def publish_outcomes(store: Store) -> object:
    return await store.unsent(10, marks=PageMarks(), now=1.0)


async def keep_lease(store: Store) -> object:
    return await store.acquire_lease(LeaseRequest(name="leader", owner="me", now=1.0, until=6.0))


class _Block:
    """Occupies the store from `begin` until `end`, or only some of its connections."""

    def __init__(self, store: Store, *groups: GroupCommit) -> None:
        self._groups = set(groups or (store._group, store._background))
        self._began = threading.Semaphore(0)
        self._over = threading.Event()

    async def begin(self) -> None:
        self._tasks = [
            asyncio.ensure_future(group.submit(self._wait, None)) for group in self._groups
        ]
        for _ in self._tasks:
            assert await asyncio.to_thread(self._began.acquire, timeout=30)

    def _wait(self, _connection: sa.Connection, requests: Sequence[None]) -> list[Any]:
        self._began.release()
        self._over.wait(30)
        return [None] * len(requests)

    async def end(self) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)


async def is_overtaken_by_a_claim(work: asyncio.Future[Any], store: Store, block: _Block) -> bool:
    """Whether a claim is committed before all of this background work.

    On PostgreSQL each has its own connection, so the work does not delay the claim, and may end
    first.
    """
    await asyncio.gather(claim(store), block.end())
    return not work.done() or store._background is not store._group


@pytest.mark.parametrize("urgent", [claim, acquire_tokens, publish_outcomes, keep_lease])
async def test_a_commands_request_is_committed_with_a_few_of_many_webhooks(
    store: Store, urgent: Any
) -> None:
    block = _Block(store)
    await block.begin()
    webhooks = [
        asyncio.ensure_future(
            store.apply_webhook(WebhookObservation(observation=observation(number)))
        )
        for number in range(MANY)
    ]
    await asyncio.sleep(0)

    async def webhooks_committed_with_a_claim() -> int:
        await urgent(store)
        await asyncio.sleep(0)  # those of the same transaction return in the same turn
        return sum(webhook.done() for webhook in webhooks)

    done, _ = await asyncio.gather(webhooks_committed_with_a_claim(), block.end())
    assert done <= MAX_OTHERS
    assert not any(result.known for result in await asyncio.gather(*webhooks))


async def test_a_command_does_not_wait_for_a_whole_page_of_a_list(store: Store) -> None:
    block = _Block(store)
    await block.begin()
    page = asyncio.ensure_future(store.apply_page([observation(number) for number in range(MANY)]))
    await asyncio.sleep(0)
    assert await is_overtaken_by_a_claim(page, store, block)
    assert await page == MANY  # each its first status


async def test_on_postgresql_no_command_waits_for_background_work(postgresql_url: str) -> None:
    store = await Store.open(postgresql_url, source="test")
    block = _Block(store, store._background)
    await block.begin()
    page = asyncio.ensure_future(store.apply_page([observation(number) for number in range(MANY)]))

    async with asyncio.timeout(10):
        for urgent in (claim, acquire_tokens, publish_outcomes, keep_lease):
            await urgent(store)

    assert not page.done()
    await block.end()
    assert await page == MANY
    await store.close()


async def test_a_page_keeps_its_order(store: Store) -> None:
    await store.apply_page([observation(number) for number in range(MANY)])

    events = await store.unsent(MANY)

    assert [event.subject for event in events] == [f"r{number}" for number in range(MANY)]


VIDEO = FoundFile(name="a.mp4", media="video", download_url="https://files.example/a.mp4")
AUDIO = FoundFile(name="a.mp3", media="audio", download_url="https://files.example/a.mp3")


@pytest.mark.parametrize(
    ("files", "reads"), [((VIDEO, AUDIO), []), ((VIDEO,), ["r1"]), ((), ["r1"])]
)
async def test_a_composite_that_a_webhook_ends_with_its_files_is_not_read_though_a_list_lacked_it(
    store: Store, files: tuple[FoundFile, ...], reads: list[str]
) -> None:
    await store.apply([observation(1)])
    await store.schedule_read(ScheduledRead(ids=["r1"], at=NOW.timestamp()))
    end = observation(1, Status.UPLOADED)
    snapshot = msgspec.structs.replace(end.snapshot, output_file_name="a.mp4", files=files)
    webhook = msgspec.structs.replace(end, snapshot=snapshot, observed_by="webhook")
    await store.apply_webhook(WebhookObservation(observation=webhook))

    query = DueQuery(
        app="default", now=NOW.timestamp() + 1, swept_at=0.0, max_single_reads=None, limit=9
    )
    assert [read.recording_id for read in (await store.find_due_reads(query)).reads] == reads


async def test_reads_of_thousands_are_scheduled_in_steps(store: Store) -> None:
    await store.apply_page([observation(number) for number in range(MANY)])
    many = [f"r{number}" for number in range(10 * MAX_ROWS)]
    block = _Block(store)
    await block.begin()
    scheduling = asyncio.ensure_future(store.schedule_read(ScheduledRead(ids=many, at=1.0)))
    await asyncio.sleep(0)
    assert await is_overtaken_by_a_claim(scheduling, store, block)
    await scheduling
    query = DueQuery(app="default", now=2.0, swept_at=0.0, max_single_reads=None, limit=2 * MANY)
    assert len((await store.find_due_reads(query)).reads) == MANY


async def test_a_command_does_not_wait_until_all_live_recordings_are_read(store: Store) -> None:
    count = MAX_LIVE_ROWS + 1
    for first in range(0, count, 1000):
        await store.apply(
            [observation(number) for number in range(first, min(first + 1000, count))]
        )
    await store.apply([msgspec.structs.replace(observation(count), app="other")])
    block = _Block(store)
    await block.begin()
    reading = asyncio.ensure_future(store.find_live("default"))
    await asyncio.sleep(0)
    assert await is_overtaken_by_a_claim(reading, store, block)
    assert (await reading).keys() == {f"r{number}" for number in range(count)}
