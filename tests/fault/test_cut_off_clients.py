"""A client that is lost inside a transaction: its row locks end, and another replica continues.

Its network is cut without an end of the connection, or it does not read its answers any more.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Final

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.pq import TransactionStatus
from yarl import URL

from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.waiting import eventually
from tests.fault.tcp_proxy import TcpProxy
from worker.domain.errors import StoreUnavailable
from worker.store.database.postgresql import Pooler, connection_parameters
from worker.store.database.schema import leases
from worker.store.leader import LeaderElector
from worker.store.store import Store

TAKEOVER_SECONDS: Final = 30.0
LEASE_SECONDS: Final = 3.0


@pytest.fixture(params=["none", "transaction"])
def pooler(request: pytest.FixtureRequest) -> Pooler:
    kind: Pooler = request.param
    return kind


@pytest.fixture
def url(pooler: Pooler, postgresql_url: str, request: pytest.FixtureRequest) -> str:
    if pooler == "none":  # the default is the pooler's; this one is quicker
        return f"{postgresql_url}?options=-cidle_in_transaction_session_timeout%3D2s"
    pgbouncer: PgBouncer = request.getfixturevalue("pgbouncer")
    return pgbouncer.url(postgresql_url)


async def test_another_replica_leads_soon_after_the_leader_was_cut_off_while_it_renewed_its_lease(
    url: str, pooler: Pooler
) -> None:
    async with TcpProxy(URL(url).port or 5432, host=URL(url).host or "127.0.0.1") as link:
        through = str(URL(url).with_host("127.0.0.1").with_port(link.port))
        lost = await Store.open(through, source="test", pooler=pooler)
        successor = await Store.open(url, source="test", pooler=pooler)
        await elector_of(lost, "lost").try_acquire()
        renewing = asyncio.create_task(lost._group.submit(CutOff(link), None))
        elector = elector_of(successor, "successor")
        began = time.monotonic()
        running = asyncio.create_task(elector.run())
        await eventually(
            elector.is_leader, seconds=TAKEOVER_SECONDS, description="another replica leads"
        )
        assert time.monotonic() - began < TAKEOVER_SECONDS
        running.cancel()
        await link.restore()
        with pytest.raises(StoreUnavailable):
            await renewing
        await elector_of(lost, "lost").try_acquire()
        assert lost.commit_error is None
        await lost.close()
        await successor.close()


def elector_of(store: Store, owner: str) -> LeaderElector:
    return LeaderElector(store, owner=owner, lease_seconds=LEASE_SECONDS, now=store.now)


class CutOff:
    """An operation that locks every lease. Then its connection falls silent, before the commit."""

    def __init__(self, link: TcpProxy) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()

    def __call__(self, connection: sa.Connection, requests: Sequence[None]) -> list[None]:
        connection.execute(sa.update(leases).values(until=leases.c.until))
        silent = threading.Event()
        self._loop.call_soon_threadsafe(self._link.black_hole)
        self._loop.call_soon_threadsafe(silent.set)
        silent.wait()
        return [None] * len(requests)


async def test_a_worker_that_takes_no_answer_any_more_loses_its_row_locks(
    postgresql_url: str,
) -> None:
    """Imitate a frozen client: its system acknowledges packets until the buffer is full.

    Then the server cannot end the statement, and the transaction is not idle.
    """
    store = await Store.open(postgresql_url, source="test")
    await elector_of(store, "me").try_acquire()
    parameters = connection_parameters(f"{postgresql_url}?options=-ctcp_user_timeout%3D5s")
    client = await asyncio.to_thread(psycopg.connect, **parameters)
    try:
        await asyncio.to_thread(client.execute, "SELECT * FROM leases FOR UPDATE")
        client.pgconn.send_query(b"SELECT repeat('x', 100000000)")
        began = time.monotonic()
        await eventually(
            lambda: can_renew(store), seconds=TAKEOVER_SECONDS, description="the lease"
        )
        assert time.monotonic() - began > LEASE_SECONDS, "the lock was not there"
        assert client.info.transaction_status == TransactionStatus.ACTIVE
    finally:
        client.close()
        await store.close()


async def can_renew(store: Store) -> bool:
    elector = elector_of(store, "me")
    await elector.try_acquire()
    return elector.is_leader()


async def test_a_lease_on_a_locked_row_fails_readiness_until_it_is_renewed(
    url: str, postgresql_url: str, pooler: Pooler
) -> None:
    store = await Store.open(url, source="test", pooler=pooler)
    elector = elector_of(store, "me")
    await elector.try_acquire()
    assert elector.cannot_write_reason() is None
    with psycopg.connect(postgresql_url) as other:
        other.execute("SELECT * FROM leases FOR UPDATE")
        await elector.try_acquire()
        assert "lock timeout" in (elector.cannot_write_reason() or "")
        await store.outbox_depth()
        assert "lock timeout" in (elector.cannot_write_reason() or ""), "a read proves nothing"
    await elector.try_acquire()
    assert elector.cannot_write_reason() is None
    await store.close()
