"""The work of a replica that is taken over. Only PostgreSQL has sessions."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from tests.contract.store.test_archive import end, take
from tests.contract.store.test_dead_replicas import Replica
from worker.store.database.lock_session import LockSession
from worker.store.database.postgresql import connection_parameters
from worker.store.database.schema import replica_sessions
from worker.store.store import Store
from worker.store.taking_over import EndedReplica, take_over


@pytest.fixture
async def replica(postgresql_url: str) -> AsyncIterator[Replica]:
    store = await Store.open(postgresql_url, source="test", archives=True)
    yield Replica(store, "me")
    await store.close()


async def taken_over(replica: Replica) -> int | None:
    """The commands that the replica had, if another one can take over from it."""
    request = EndedReplica(
        owner=replica.owner, now=replica.store.now(), call_seconds=10.0, is_own=False
    )
    return await replica.store._group.run(take_over, request)


async def register_dead(store: Store) -> None:
    """Leave the row of a session that has ended."""

    def insert(connection: sa.Connection, owner: str) -> None:
        connection.execute(sa.insert(replica_sessions).values(owner=owner))

    await store._group.run(insert, "me")


async def test_a_replica_that_has_a_session_again_keeps_its_work(
    replica: Replica, postgresql_url: str
) -> None:
    await replica.claim("c")
    session = await LockSession.open(connection_parameters(postgresql_url), replica.owner)
    await session.register()
    assert await taken_over(replica) is None
    assert await replica.holds("c")
    session.close()


async def test_a_replica_that_works_by_leases_since_it_was_taken_over_keeps_its_work(
    replica: Replica,
) -> None:
    await register_dead(replica.store)
    await replica.claim("before")
    assert await taken_over(replica) == 1
    await replica.claim("since")
    assert await taken_over(replica) is None
    assert await replica.holds("since")


async def test_the_files_of_a_dead_replica_are_copied_by_others_at_once(replica: Replica) -> None:
    await register_dead(replica.store)
    await end(replica.store, "r1", "a")
    await take(replica.store, owner=replica.owner)
    assert await take(replica.store, owner="other") == ()
    await taken_over(replica)
    assert len(await take(replica.store, owner="other")) == 1
