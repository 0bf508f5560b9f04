"""Replicas receive each other's commits at once by notification, or else by polling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg
import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.fault.tcp_proxy import CutKind, TcpProxy
from tests.store_requests import observation_of
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.store.leader import LeaderElector
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def observation(recording_id: str = "r1", status: Status = Status.RECORDING) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id=recording_id, status=status, kind="track", meeting_id="m"
    )
    return observation_of(snapshot, NOW)


class Replica:
    """A store that listens, and the notifications that it received."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.notifications: list[str] = []
        store.subscribe("outbox", lambda: self.notifications.append("outbox"))
        store.subscribe("due", lambda: self.notifications.append("due"))


@asynccontextmanager
async def replica(url: str, *, listening: bool = True) -> AsyncIterator[Replica]:
    store = await Store.open(url, source="test")
    instance = Replica(store)
    listener = asyncio.create_task(store.listen()) if listening else None
    try:
        yield instance
    finally:
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])
        await store.close()


@pytest.fixture
def database(postgresql: PostgreSQLServer) -> str:
    return postgresql.new_database()


async def listens(listener: Replica, eventually: Eventually) -> None:
    """A new connection notifies of everything, because earlier notifications may be lost."""
    await eventually(lambda: listener.notifications[-2:] == ["outbox", "due"])
    listener.notifications.clear()


async def test_a_commit_with_events_notifies_its_own_subscribers_on_either_engine(
    database_url: str, eventually: Eventually
) -> None:
    async with replica(database_url, listening=False) as sender:
        await sender.store.apply([observation()])
        await eventually(lambda: sender.notifications == ["outbox"])


async def test_a_commit_without_a_topic_causes_no_notification(
    database_url: str, eventually: Eventually
) -> None:
    async with replica(database_url, listening=False) as sender:
        await sender.store.apply([observation()])
        await eventually(lambda: sender.notifications == ["outbox"])
        await sender.store.apply([observation()])
        await sender.store.unsent(10)
        await asyncio.sleep(0)
        assert sender.notifications == ["outbox"]


async def test_listening_on_sqlite_returns_at_once(sqlite_url: str) -> None:
    async with replica(sqlite_url, listening=False) as single:
        await single.store.listen()


async def test_a_commit_notifies_the_other_replica_and_its_own_subscribers_once(
    database: str, eventually: Eventually
) -> None:
    async with replica(database) as here, replica(database) as there:
        await listens(here, eventually)
        await listens(there, eventually)
        await here.store.apply([observation()])
        await eventually(lambda: there.notifications == ["outbox"])
        await there.store.apply([observation("r2")])
        await eventually(lambda: len(here.notifications) > 1)
        assert (here.notifications, there.notifications) == (["outbox"] * 2, ["outbox"] * 2)


async def test_a_store_takes_commits_of_its_two_connections_for_its_own(
    database: str, eventually: Eventually
) -> None:
    async with replica(database) as here, replica(database) as there:
        await listens(here, eventually)
        await listens(there, eventually)
        groups = (here.store._group, here.store._background)
        for number in range(5):
            await asyncio.gather(
                *(
                    group.submit(here.store._apply_batch, [observation(f"r{number} of {index}")])
                    for index, group in enumerate(groups)
                )
            )
        await there.store.apply([observation("last")])
        await eventually(lambda: len(here.notifications) > 10)
        await here.store.apply([observation("after the last")])
        await eventually(lambda: len(there.notifications) > 11)
        assert (len(here.notifications), len(there.notifications)) == (12, 12)


async def test_many_events_of_one_transaction_notify_once(
    database: str, eventually: Eventually
) -> None:
    async with replica(database) as here, replica(database) as there:
        await listens(there, eventually)
        await here.store.apply([observation(f"r{number}") for number in range(100)])
        await here.store.apply([observation("last")])
        await eventually(lambda: len(there.notifications) >= 2)
        assert there.notifications == ["outbox"] * 2


async def test_a_released_lease_is_taken_over_at_once(
    database: str, eventually: Eventually
) -> None:
    async with replica(database) as old, replica(database) as new:
        await listens(new, eventually)
        first, successor = (
            LeaderElector(member.store, owner=name, lease_seconds=600, now=member.store.now)
            for name, member in (("old", old), ("new", new))
        )
        new.store.subscribe("lease", successor.wake)
        await first.try_acquire()
        taking_over = asyncio.create_task(successor.run())
        await successor.try_acquire()
        assert (first.is_leader(), successor.is_leader()) == (True, False)
        await first.release()
        await eventually(successor.is_leader)
        taking_over.cancel()
        await asyncio.wait([taking_over])


async def test_deployments_in_two_schemas_of_one_database_do_not_notify_each_other(
    database: str, eventually: Eventually
) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA blue")
        owner.execute("CREATE SCHEMA green")
    url = database + ("&" if "?" in database else "?")
    blue, green = (f"{url}options=-csearch_path%3D{name}" for name in ("blue", "green"))
    async with replica(blue) as sender, replica(blue) as neighbour, replica(green) as other:
        await listens(neighbour, eventually)
        await listens(other, eventually)
        await sender.store.apply([observation()])
        await eventually(lambda: neighbour.notifications == ["outbox"])
        await other.store.apply([observation("later")])
        await eventually(lambda: other.notifications)
        assert (neighbour.notifications, other.notifications) == (["outbox"], ["outbox"])


async def test_a_listener_whose_backend_is_terminated_reconnects_and_notifies_every_topic(
    database: str, eventually: Eventually
) -> None:
    async with replica(database) as here, replica(database) as there:
        await listens(there, eventually)
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE"
                " '%current_schema()%' AND datname = current_database() AND pid <> pg_backend_pid()"
            )
        await listens(there, eventually)
        await here.store.apply([observation()])
        await eventually(lambda: "outbox" in there.notifications)


@pytest.mark.parametrize("how", ["reset", "fin"])
async def test_a_listener_that_is_cut_from_its_server_reconnects(
    database: str, eventually: Eventually, how: CutKind
) -> None:
    address = urlsplit(database)
    async with TcpProxy(address.port or 5432, host=address.hostname or "127.0.0.1") as proxy:
        proxied_url = address._replace(
            netloc=f"{address.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
        ).geturl()
        async with replica(proxied_url) as there, replica(database, listening=False) as here:
            await listens(there, eventually)
            proxy.cut(how)
            await listens(there, eventually)
            await here.store.apply([observation()])
            await eventually(lambda: "outbox" in there.notifications)


async def test_a_recording_that_is_due_at_once_wakes_the_refresher_and_a_later_one_does_not(
    sqlite_url: str,
) -> None:
    async with replica(sqlite_url, listening=False) as own:
        await own.store.apply([observation()])
        assert "due" not in own.notifications
        await own.store.apply([observation(status=Status.UPLOADED)])
        assert "due" in own.notifications
