"""Which recordings are due for a read, and in which order."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.contract.store.test_pruning import NOW, observation, rows
from worker.store.database.schema import recordings
from worker.store.due_reads import DueQuery
from worker.store.read_schedule import OverdueQuery, ScheduledRead
from worker.store.store import Store


async def due(store: Store, **more: Any) -> list[str]:
    fields = {"now": NOW.timestamp(), "swept_at": 0.0, "max_single_reads": 1, "limit": 8, **more}
    query = DueQuery(app="default", **fields)
    return [read.recording_id for read in (await store.find_due_reads(query)).reads]


def known_for(hours: float) -> OverdueQuery:
    """The query for recordings that have been recording for this many hours."""
    before = (NOW - timedelta(hours=hours)).timestamp()
    statuses = (Status.RECORDING, Status.PAUSED)
    return OverdueQuery(
        app="default",
        now=NOW.timestamp(),
        changed_before={},
        first_seen_before=dict.fromkeys(statuses, before),
    )


async def test_a_change_does_not_reset_when_a_recording_was_first_seen(
    store: Store,
) -> None:
    for name, hours in (("long", 30), ("short", 20)):
        await store.apply([observation(name, at=NOW - timedelta(hours=hours))])
        await store.apply([observation(name, Status.PAUSED, at=NOW - timedelta(hours=1))])
    await store.schedule_overdue(known_for(hours=25))
    assert await due(store) == ["long"]
    assert [
        recording.recording_id for recording in await store.find_overdue(known_for(hours=25))
    ] == ["long"]


async def test_a_recording_stored_by_an_older_version_counts_as_first_seen_at_its_last_change(
    store: Store, engine: sa.Engine
) -> None:
    for name, hours in (("long", 30), ("short", 20)):
        await store.apply([observation(name, at=NOW - timedelta(hours=hours))])
    with engine.begin() as connection:
        connection.execute(sa.update(recordings).values(first_seen_at=None))
    await store.schedule_overdue(known_for(hours=25))
    assert await due(store) == ["long"]


MINUTE = 60.0


@pytest.mark.parametrize(
    ("read_at", "scheduled"),
    [(None, 0.0), (NOW.timestamp() - MINUTE, 0.0), (NOW.timestamp() + MINUTE,) * 2],
    ids=["no read", "due", "postponed"],
)
async def test_an_overdue_recording_is_read_before_all_others_unless_its_read_was_postponed(
    store: Store, engine: sa.Engine, read_at: float | None, scheduled: float
) -> None:
    await store.apply([observation("r", at=NOW - timedelta(hours=30))])
    if read_at is not None:
        await store.schedule_read(ScheduledRead(ids=["r"], at=read_at, postpone=True))
    await store.schedule_overdue(known_for(hours=25))
    assert rows(engine, recordings.c.read_at) == [scheduled]


async def test_a_recording_that_was_found_overdue_before_wakes_no_reader(store: Store) -> None:
    await store.apply([observation("r", at=NOW - timedelta(hours=30))])
    woken: list[str] = []
    store.subscribe("due", lambda: woken.append("due"))
    for _ in range(2):
        await store.schedule_overdue(known_for(hours=25))
    assert woken == ["due"]


async def overdue_and_uploaded(store: Store, uploaded: int) -> None:
    """Ten recordings that have been overdue for an hour, and then this many uploads."""
    for number in range(10):
        await store.apply([observation(f"overdue {number}", at=NOW - timedelta(hours=30))])
    await store.schedule_overdue(known_for(hours=25))
    for number in range(uploaded):
        at = NOW - timedelta(minutes=60 - number)
        await store.apply([observation(f"upload {number}", Status.UPLOADED, at=at)])


@pytest.mark.parametrize(("uploaded", "files"), [(0, 0), (3, 3), (9, 4)])
async def test_many_overdue_recordings_and_many_uploads_share_the_reads(
    store: Store, uploaded: int, files: int
) -> None:
    await overdue_and_uploaded(store, uploaded)
    found = await due(store, upload_limit=4)
    assert [recording_id for recording_id in found if recording_id.startswith("upload")] == [
        f"upload {number}" for number in range(files)
    ]
    assert len(found) == 8


async def test_a_single_read_goes_to_an_upload_within_its_limit_else_to_the_longest_due(
    store: Store,
) -> None:
    await overdue_and_uploaded(store, 3)
    assert await due(store, limit=1, upload_limit=4) == ["upload 0"]
    assert await due(store, limit=1, upload_limit=4, exclude=["upload 0"]) == ["upload 1"]
    (recording_id,) = await due(store, limit=1, upload_limit=0)
    assert recording_id.startswith("overdue")


async def test_a_few_due_recordings_are_read_in_order_of_their_time(store: Store) -> None:
    await overdue_and_uploaded(store, 2)
    in_hand = [f"overdue {number}" for number in range(1, 10)]
    assert await due(store, upload_limit=4, exclude=in_hand) == [
        "overdue 0",
        "upload 0",
        "upload 1",
    ]
