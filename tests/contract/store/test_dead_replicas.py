"""A replica has ended when its PostgreSQL session is gone, and not before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import psycopg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs
from yarl import URL

from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.waiting import Eventually
from recording_sandbox.waiting import eventually as waits_until
from tests.fault.tcp_proxy import TcpProxy
from tests.store_requests import claim_request
from worker.store.claims import ClaimResult
from worker.store.database.engine import open_engine
from worker.store.database.lock_session import LockSession
from worker.store.database.postgresql import Pooler, connection_parameters
from worker.store.database.schema import inbox, leases, replica_sessions
from worker.store.leader import LeaderElector
from worker.store.store import Store

LEASE_SECONDS: Final = 600.0
CALL_SECONDS: Final = 10.0
TERMINATE: Final = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Replica:
    """A store and an elector, which may run with a session."""

    def __init__(self, store: Store, owner: str) -> None:
        self.store = store
        self.owner = owner
        self.elector = LeaderElector(store, owner=owner, lease_seconds=LEASE_SECONDS, now=store.now)
        store.subscribe("lease", self.elector.wake)
        self._running: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Hold a session, and try to lead."""
        session = self.store.replicas.run(self.owner, call_seconds=CALL_SECONDS)
        self._running = [asyncio.create_task(session), asyncio.create_task(self.elector.run())]
        async with asyncio.timeout(10):
            await self.store.replicas.has_joined.wait()

    async def die(self) -> None:
        """End without releasing anything, as after kill -9."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def claim(self, command_id: str, **more: Any) -> ClaimResult:
        fields = {"slot": command_id, "app": "app", "owner": self.owner}
        times = {"now": self.store.now(), "lease_seconds": LEASE_SECONDS, "reconcile_seconds": 5.0}
        return await self.store.claim(claim_request(command_id, **{**fields, **times, **more}))

    async def holds(self, command_id: str) -> bool:
        return await self.store.holds_command(command_id, self.owner, self.store.now())


@asynccontextmanager
async def replica(url: str, owner: str, *, pooler: Pooler = "none") -> AsyncIterator[Replica]:
    store = await Store.open(url, source="test", pooler=pooler)
    instance = Replica(store, owner)
    try:
        yield instance
    finally:
        await instance.die()
        await store.close()


def rows(url: str, *columns: sa.Column[Any]) -> list[Any]:
    engine = open_engine(url)
    with engine.begin() as connection:
        found = connection.execute(sa.select(*columns)).all()
    engine.dispose()
    return list(found)


async def test_the_work_of_a_dead_replica_is_free_soon_and_that_of_others_is_not(
    postgresql_url: str, eventually: Eventually
) -> None:
    async with AsyncExitStack() as stack:
        killed, frozen, older, successor = [
            await stack.enter_async_context(replica(postgresql_url, name))
            for name in ("killed", "frozen", "older", "successor")
        ]
        await killed.run()
        await eventually(killed.elector.is_leader)
        session = await LockSession.open(connection_parameters(postgresql_url), "frozen")
        stack.callback(session.close)
        await session.register()  # it holds its lock, and does nothing else any more
        for peer in (killed, frozen, older):
            await peer.claim(f"command of {peer.owner}")
        await successor.run()

        answers = {
            peer: asyncio.create_task(successor.store.replicas.has_ended(peer.owner, waited=0))
            for peer in (killed, frozen, older)
        }
        await killed.die()
        noticed_at = successor.store.now()

        assert [await has_ended for has_ended in answers.values()] == [True, False, False]
        claim = await successor.claim("command of killed")
        assert (claim.verdict, claim.may_call) == ("again", False)
        assert (await successor.claim("command of frozen")).leased_by == "frozen"
        assert (await successor.claim("command of older")).leased_by == "older"
        assert await frozen.holds("command of frozen")
        assert not await killed.holds("command of killed")
        await eventually(successor.elector.is_leader)
        called = dict(rows(postgresql_url, inbox.c.command_id, inbox.c.last_called_at))
        assert called["command of killed"] >= noticed_at + CALL_SECONDS, "its call may still last"
        assert {owner for (owner,) in rows(postgresql_url, replica_sessions.c.owner)} == {
            "frozen",
            "successor",
        }


async def test_a_replica_logs_its_election_once_although_its_session_begins_after_it(
    postgresql_url: str, eventually: Eventually
) -> None:
    with capture_logs() as lines:
        async with replica(postgresql_url, "leader") as leader:
            await leader.elector.try_acquire()
            await leader.run()
            await leader.elector.try_acquire()
            await eventually(leader.elector.is_leader)
            await leader.elector.try_acquire()
    elections = [line["event"] for line in lines if line["event"].startswith("leader_")]
    assert elections == ["leader_elected"]


async def test_a_replica_whose_session_is_terminated_gets_another_one_and_keeps_its_work(
    postgresql_url: str, eventually: Eventually
) -> None:
    async with (
        replica(postgresql_url, "leader") as leader,
        replica(postgresql_url, "other") as other,
    ):
        await leader.run()
        await eventually(leader.elector.is_leader)
        await leader.claim("c")
        await other.run()
        has_ended = asyncio.create_task(other.store.replicas.has_ended("leader", waited=0))

        with psycopg.connect(postgresql_url, autocommit=True) as admin:
            row = admin.execute(TERMINATE).fetchone()
        assert row == (2,), "both lost their sessions"

        await eventually(lambda: leader.store.replicas.generation == 2)
        await eventually(leader.elector.is_leader)
        await has_ended  # either answer, because its lock was free for a moment
        assert await leader.holds("c")
        assert not other.elector.is_leader()


async def test_a_replica_that_is_cut_off_from_postgresql_neither_leads_nor_holds_commands(
    postgresql_url: str, eventually: Eventually
) -> None:
    url = URL(postgresql_url)
    async with TcpProxy(url.port or 5432, host=url.host or "127.0.0.1") as link:
        through = str(url.with_host("127.0.0.1").with_port(link.port))
        async with (
            replica(through, "lost") as lost,
            replica(postgresql_url, "successor") as successor,
        ):
            await lost.run()
            await eventually(lost.elector.is_leader)
            await lost.claim("c")
            await successor.run()
            led_together = asyncio.create_task(both_lead(lost, successor))

            link.refuse()
            link.cut()
            await eventually(successor.elector.is_leader, seconds=20)
            assert (await successor.claim("c")).verdict == "again"
            await link.restore()

            await eventually(lambda: len(rows(postgresql_url, replica_sessions.c.owner)) == 2)
            assert not await lost.holds("c")
            assert not led_together.done(), "two replicas led at a time"
            led_together.cancel()


async def both_lead(*replicas: Replica) -> None:
    electors = [member.elector for member in replicas]
    await waits_until(lambda: all(elector.is_leader() for elector in electors), seconds=60)


async def test_a_replica_that_stops_releases_its_work_at_once(
    postgresql_url: str, eventually: Eventually
) -> None:
    async with (
        replica(postgresql_url, "leaving") as leaving,
        replica(postgresql_url, "other") as other,
    ):
        await leaving.run()
        await eventually(leaving.elector.is_leader)
        await leaving.claim("c")
        await leaving.die()
        await leaving.store.replicas.leave()

        assert (await other.claim("c")).verdict == "again"
        assert rows(postgresql_url, replica_sessions.c.owner) == []
        assert rows(postgresql_url, leases.c.owner) == []


async def test_a_replica_that_gets_no_session_works_by_its_leases(
    postgresql_url: str, eventually: Eventually
) -> None:
    refusals: list[bool] = []

    def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusals.append(without.elector.is_leader())
        writer.close()

    async with (
        await asyncio.start_server(refuse, "127.0.0.1", 0) as server,
        replica(postgresql_url, "without") as without,
        replica(postgresql_url, "other") as other,
    ):
        await without.run()
        await eventually(without.elector.is_leader)
        await without.claim("c")
        host, port = server.sockets[0].getsockname()
        refused = {"host": host, "port": port, "sslmode": "disable"}
        without.store.replicas._parameters = lambda: refused
        with_session = without.store.replicas.generation
        with psycopg.connect(postgresql_url, autocommit=True) as admin:
            admin.execute(TERMINATE)
        await eventually(lambda: rows(postgresql_url, replica_sessions.c.owner) == [])
        await eventually(lambda: without.store.replicas.generation > with_session)
        await eventually(without.elector.is_leader)
        generation = without.store.replicas.generation
        await other.run()
        refusals.clear()
        await eventually(lambda: len(refusals) >= 3)

        assert not await other.store.replicas.has_ended("without", waited=0)
        assert await without.holds("c")
        assert refusals == [True] * len(refusals)
        assert without.store.replicas.generation == generation


@pytest.mark.parametrize("behind", ["a pooler", "SQLite"])
async def test_without_sessions_leases_alone_decide(
    behind: str, postgresql_url: str, pgbouncer: PgBouncer, sqlite_url: str
) -> None:
    is_pooled = behind == "a pooler"
    url = pgbouncer.url(postgresql_url) if is_pooled else sqlite_url
    pooler: Pooler = "transaction" if is_pooled else "none"
    async with replica(url, "killed", pooler=pooler) as killed:
        await killed.run()
        await killed.elector.try_acquire()
        await killed.claim("c")
        successor = Replica(killed.store, "successor")
        assert (await successor.claim("c")).leased_by == "killed"
        assert not await successor.store.replicas.has_ended("killed", waited=0)
        assert killed.elector.is_leader()
        if is_pooled:
            assert rows(postgresql_url, replica_sessions.c.owner) == []
