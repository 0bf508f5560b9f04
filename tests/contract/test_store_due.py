"""Which recordings the store says are to be read, and in what order."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.contract.test_store_history import NOW, seen
from worker.store import Due, Overdue, Store
from worker.store.engine import open_engine
from worker.store.tables import recordings


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test")
    yield opened
    await opened.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A way to the tables beside the store."""
    beside = open_engine(database_url)
    yield beside
    beside.dispose()


async def due(store: Store) -> list[str]:
    wanted = Due(app="default", now=NOW.timestamp(), swept_at=0.0, few=1, limit=8)
    return [one.recording_id for one in (await store.due(wanted)).reads]


def known_for(hours: float) -> Overdue:
    """Asks for what has been recorded for so long."""
    before = (NOW - timedelta(hours=hours)).timestamp()
    statuses = (Status.RECORDING, Status.PAUSED)
    return Overdue(
        app="default",
        now=NOW.timestamp(),
        changed_before={},
        known_before=dict.fromkeys(statuses, before),
    )


async def test_how_long_a_recording_is_known_does_not_begin_anew_with_a_change(
    store: Store,
) -> None:
    for name, hours in (("long", 30), ("short", 20)):
        await store.absorb([seen(name, at=NOW - timedelta(hours=hours))])
        await store.absorb([seen(name, Status.PAUSED, at=NOW - timedelta(hours=1))])
    await store.read_overdue(known_for(hours=25))
    assert await due(store) == ["long"]
    assert [one.recording_id for one in await store.overdue(known_for(hours=25))] == ["long"]


async def test_a_recording_that_an_older_version_stored_is_known_since_its_last_change(
    store: Store, engine: sa.Engine
) -> None:
    for name, hours in (("long", 30), ("short", 20)):
        await store.absorb([seen(name, at=NOW - timedelta(hours=hours))])
    with engine.begin() as connection:
        connection.execute(sa.update(recordings).values(first_seen_at=None))
    await store.read_overdue(known_for(hours=25))
    assert await due(store) == ["long"]
