"""A worker notices that its role lacks a right on one table, although it can write to others."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog
from psycopg import sql

from tests.contract.store.test_plans import everything, fill
from worker.store.database.engine import open_engine
from worker.store.database.migrate import migrate
from worker.store.database.privileges import COUNTERS, RIGHTS
from worker.store.leases import LeaseRequest
from worker.store.store import Store

LEASE = LeaseRequest(name="leader", owner="me", now=1.0, until=2.0)


class Role:
    """A role that owns nothing, and has exactly the rights that a worker needs."""

    def __init__(self, admin: psycopg.Connection[Any], url: str) -> None:
        self._admin = admin
        self.name = urlsplit(url).path.removeprefix("/")
        self.url = url.replace("postgres@", f"{self.name}@")
        self._execute("CREATE ROLE {} LOGIN", self.name)
        self._execute("GRANT SELECT ON alembic_version TO {}", self.name)
        for table, right in RIGHTS:
            self.change("GRANT", table, right)
        for table in COUNTERS:
            self.change("GRANT", f"{table}_position_seq", "USAGE")

    def change(self, verb: str, relation: str, right: str) -> None:
        """GRANT or REVOKE a right on a table or a sequence."""
        preposition = "TO" if verb == "GRANT" else "FROM"
        self._execute(f"{verb} {right} ON {{}} {preposition} {{}}", relation, self.name)

    def drop(self) -> None:
        self._execute("DROP OWNED BY {}", self.name)
        self._execute("DROP ROLE {}", self.name)

    def _execute(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture
def role(postgresql_url: str) -> Iterator[Role]:
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        role = Role(admin, postgresql_url)
        yield role
        role.drop()


async def test_a_worker_needs_no_other_right(role: Role, postgresql_url: str) -> None:
    engine = open_engine(postgresql_url)
    with engine.begin() as connection:
        migrate(connection)
    fill(engine)
    engine.dispose()
    store = await Store.open(role.url, source="test", archives=True)
    with structlog.testing.capture_logs() as logs:
        await everything(store)
    assert store.commit_error is None
    assert not [log for log in logs if "permission denied" in str(log)]
    await store.close()


async def test_each_right_that_a_role_lacks_is_named_until_it_is_granted(role: Role) -> None:
    store = await Store.open(role.url, source="test")
    await store.acquire_lease(LEASE)
    for table, right in RIGHTS:
        if table == "leases":  # then nothing can be written
            continue
        role.change("REVOKE", table, right)
        await store.acquire_lease(LEASE)
        assert str(store.commit_error).startswith(
            f"the role of DATABASE_URL lacks rights: {right} on {table} ("
        )
        role.change("GRANT", table, right)
    for table in COUNTERS:
        role.change("REVOKE", f"{table}_position_seq", "USAGE")
        await store.acquire_lease(LEASE)
        assert f"USAGE on the sequence of {table}" in str(store.commit_error)
        role.change("GRANT", f"{table}_position_seq", "USAGE")
    await store.acquire_lease(LEASE)
    assert store.commit_error is None
    await store.close()


async def test_a_replica_without_the_lease_notices_a_revoked_right_too(role: Role) -> None:
    store = await Store.open(role.url, source="test")
    await store.acquire_lease(LEASE)
    role.change("REVOKE", "outbox", "INSERT")
    assert not await store.acquire_lease(LeaseRequest(name="leader", owner="b", now=1.0, until=2.0))
    assert "INSERT on outbox" in str(store.commit_error)
    await store.close()


async def test_rights_on_columns_are_enough(role: Role, postgresql_url: str) -> None:
    store = await Store.open(role.url, source="test")
    role.change("REVOKE", "marks", "INSERT")
    with psycopg.connect(postgresql_url, autocommit=True) as admin:
        admin.execute(f"GRANT INSERT (name, at) ON marks TO {role.name}".encode())
    await store.acquire_lease(LEASE)
    assert store.commit_error is None
    await store.close()
