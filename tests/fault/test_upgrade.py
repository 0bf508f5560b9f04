"""Two versions of the worker at the same time: on one queue, one database, with the same
subscribers."""

import asyncio
import time
from pathlib import Path

import msgspec
import psycopg
import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from recording_schemas import decode_event
from tests.fault.killable_worker import KillableWorker
from tests.fault.simulation import Simulation
from tests.forked_process import FORK_SERVER
from tests.store_requests import claim_request
from worker.broker.messages import Dead
from worker.domain.errors import StoreUnavailable
from worker.store.claims import ClaimRequest
from worker.store.database.migrate import ADVISORY_LOCK, HEAD, MIGRATION_LOCK_TIMEOUT_SECONDS
from worker.store.store import Store

EXAMPLES = Path(__file__).parents[2] / "schemas/examples"
NEWER = "9999"


@pytest.fixture
def url(postgresql: PostgreSQLServer) -> str:
    return postgresql.new_database()


def claim(command_id: str = "c") -> ClaimRequest:
    return claim_request(command_id, "sync_recording", now=1.0)


def upgrade(connection: psycopg.Connection[object]) -> None:
    """Adds columns and tables that may be left out, as a later version would."""
    connection.execute("ALTER TABLE inbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE recordings ADD COLUMN region TEXT")
    connection.execute("CREATE TABLE schedule (at DOUBLE PRECISION NOT NULL)")
    connection.execute("UPDATE alembic_version SET version_num = %s", [NEWER])


# The database


async def test_a_worker_continues_on_a_database_that_a_newer_version_migrated(
    url: str,
) -> None:
    old = await Store.open(url, source="test")
    with psycopg.connect(url) as newer:
        upgrade(newer)
    assert (await old.claim(claim("running"))).verdict == "new"
    await old.close()
    started_again = await Store.open(url, source="test")
    assert (await started_again.claim(claim("after"))).verdict == "new"
    await started_again.close()
    assert revision(url) == NEWER, "and does not take it back"


async def test_a_running_worker_waits_for_the_migration_of_another_worker(url: str) -> None:
    old = await Store.open(url, source="test")
    with psycopg.connect(url) as newer:
        upgrade(newer)  # not committed: its tables are locked
        waiting = asyncio.create_task(old.claim(claim()))
        await old_waits_for_a_lock(url)
        newer.commit()
    assert (await waiting).verdict == "new"
    await old.close()


async def old_waits_for_a_lock(url: str) -> None:
    def blocked() -> bool:
        with psycopg.connect(url) as looking:
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            row = looking.execute(query).fetchone()
            return row is not None and row[0] > 0

    async with asyncio.timeout(30):
        while not await asyncio.to_thread(blocked):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0)


async def test_replicas_that_start_together_on_an_empty_database_all_start(url: str) -> None:
    stores = await asyncio.gather(*(Store.open(url, source="test") for _ in range(4)))
    assert revision(url) == HEAD
    for store in stores:
        await store.close()


async def test_a_replica_waits_longer_for_a_migration_than_for_a_lock(url: str) -> None:
    impatient_url = f"{url}?options=-clock_timeout%3D500ms%20-cstatement_timeout%3D500ms"
    with psycopg.connect(url) as newer:
        newer.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
        opening = asyncio.create_task(Store.open(impatient_url, source="test"))
        done, _ = await asyncio.wait([opening], timeout=1.5)
        assert not done
        newer.rollback()
    await (await opening).close()
    assert revision(url) == HEAD


async def test_sigterm_ends_a_worker_that_waits_for_the_migration_of_another_one(
    url: str, tmp_path: Path
) -> None:
    app = {f"REALTIMEKIT_{name}": "x" for name in ("ACCOUNT_ID", "APP_ID", "API_TOKEN")}
    log = tmp_path / "worker.log"
    worker = KillableWorker({**app, "DATABASE_URL": url}, log, forks=FORK_SERVER)
    with psycopg.connect(url, autocommit=True) as newer:
        newer.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        worker.start()
        try:
            await eventually(lambda: newer.execute(WAITING).fetchone())
            started = time.monotonic()
            await asyncio.to_thread(worker.stop)
        finally:
            worker.kill()
    assert worker.exit_code == 0, worker.last_words()
    assert time.monotonic() - started < 0.8 * MIGRATION_LOCK_TIMEOUT_SECONDS


WAITING = """
SELECT 1 FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'SELECT pg_try_advisory_xact_lock%'
"""


async def test_a_failed_migration_leaves_nothing_behind(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SEQUENCE recordings_changed")  # in the way of an index
    with pytest.raises(StoreUnavailable, match="already exists"):
        await Store.open(url, source="test")
    with psycopg.connect(url) as looking:
        tables = looking.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == []


def revision(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return str(row[0])


# The queue


async def test_a_command_of_a_newer_version_is_kept_unchanged_for_a_newer_worker(
    world: Simulation, sqlite_url: str
) -> None:
    store = await Store.open(sqlite_url, source="test")
    replica = world.replica(store)
    newer = {"type": "start_livestream", "id": "later", "meeting_id": "m", "quality": ["4k"]}
    world.send(newer)
    await world.deliver(world.queue[0], replica)
    ((delivery, dead),) = world.dead
    assert isinstance(dead, Dead)
    assert dead.code == "unknown_type"
    assert delivery.body == msgspec.json.encode(newer)
    await world.relay(store)
    assert [message.routing_key for message in world.published] == ["unknown.rejected"]
    await store.close()


async def test_a_command_with_a_field_of_a_newer_version_is_kept_and_records_nobody(
    world: Simulation, sqlite_url: str
) -> None:
    store = await Store.open(sqlite_url, source="test")
    document = msgspec.json.decode((EXAMPLES / "start_track_recording.json").read_bytes())
    world.send({**document, "languages": ["en"]})
    await world.deliver(world.queue[0], world.replica(store))
    ((delivery, dead),) = world.dead
    assert (dead.code, b'"languages"' in delivery.body) == ("unknown_field", True)
    assert not world.sandbox.request_log.started
    await store.close()


# The subscribers


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.v1.json")), ids=lambda path: path.name)
def test_an_event_with_fields_of_a_newer_version_is_decoded_as_before(path: Path) -> None:
    event = msgspec.json.decode(path.read_bytes())
    newer = {**event, "dataversion": "2", "data": {**event["data"], "quality": {"width": 1}}}
    assert decode_event(msgspec.json.encode(newer)) == decode_event(path.read_bytes())
