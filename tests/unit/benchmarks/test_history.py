"""The history that is multiplied is one that the store reads as its own."""

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.history.fill import DAY, History, fill
from benchmarks.history.lives import LIVES, SHARES, SOURCE, rows_of_lives
from benchmarks.history.report import operations_table
from benchmarks.history.results import EngineResults, Measured
from benchmarks.history.row_statements import positions_are_free
from recording_sandbox.services.postgresql import PostgreSQLServer
from tests.catalogue import catalogue
from tests.state_queries import read_state
from worker.store.admin.archived_files import EntriesFilter, find_entries
from worker.store.admin.recording_details import find_details
from worker.store.database.engine import open_engine
from worker.store.database.schema import inbox, outbox
from worker.store.store import Store

RECORDINGS = 40


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database on a private server, because filling it changes the server's settings."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history.db'}"
    server: PostgreSQLServer = request.getfixturevalue("private_postgresql")
    return server.new_database()


def catalogue_at(url: str) -> list[str]:
    """The columns, keys, constraints and indexes of all tables."""
    engine = open_engine(url)
    with engine.connect() as connection:
        found = catalogue(connection)
    engine.dispose()
    return found


def assert_each_event_has_its_own_id(url: str) -> None:
    """A stored outcome has the id of the event that published it, as in the worker's rows."""
    engine = open_engine(url)
    with engine.connect() as connection:
        ids = connection.execute(sa.select(outbox.c.event_id)).scalars().all()
        outcomes = connection.execute(sa.select(inbox.c.outcome)).scalars().all()
    engine.dispose()
    assert len(set(ids)) == len(ids) > len(outcomes)
    assert all(any(event_id in outcome for event_id in ids) for outcome in outcomes)


async def test_each_recording_of_a_filled_history_is_found_with_all_that_belongs_to_it(
    tmp_path: Path, new_database_url: str
) -> None:
    rows = await rows_of_lives(tmp_path)
    url = new_database_url
    await (await Store.open(url, source=SOURCE)).close()
    before = catalogue_at(url)
    history = History(recordings=RECORDINGS, until=time.time(), event_days=30.5)
    fill(url, history, rows, print)
    assert catalogue_at(url) == before
    assert_each_event_has_its_own_id(url)
    for number in range(RECORDINGS):
        life = LIVES[SHARES[number % len(SHARES)]]
        (found,) = read_state(
            url, find_details, history.id_of("recording", number), max_events=99
        ).recordings
        assert found.start is not None
        assert found.start.command_id == history.id_of("start", number)
        assert (len(found.files), found.recording.status) == (life.people, life.status)
        assert len(found.events) >= life.people + 2
        assert not found.recording.is_open
        assert found.recording.changed_at is not None
        ended_at = found.recording.changed_at.timestamp()
        assert ended_at == pytest.approx(history.ended_at(number), abs=60.0)
    archived = read_state(url, find_entries, EntriesFilter(state="archived"))
    assert len(archived) == 2 * RECORDINGS // len(SHARES)
    assert all(positions_are_free(of_life) for of_life in rows["outbox"])
    assert history.ended_at(0) < history.until - 30 * DAY


def test_the_table_shows_both_databases_and_failures() -> None:
    fast = Measured(group="Commands", name="a start", short=(1.0, 2.0), long=(2.0, 4.0))
    failed = Measured(group="Console", name="a page", error="StoreUnavailable: it takes too long")
    results = [
        EngineResults(
            engine=engine,
            short_rows=1,
            long_rows=9,
            event_days=1.0,
            size=1,
            operations=[fast, failed],
        )
        for engine in ("sqlite", "postgresql")
    ]

    head, *rows = operations_table(results)

    assert head[1].startswith("SQLite")
    assert list(rows[1][:3]) == ["a start", "1.5 · 3.0 · 4.0", "2.00"]
    assert rows[3][-1] == "failed"
