"""A PostgreSQL session that holds a replica's lock for as long as the session lasts.

The server ends a session when the process of its client ends, and then releases its locks. The
session does nothing else: the server sends nothing that a frozen client would have to read, so a
frozen client keeps its session.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from worker.store.database.postgresql import (
    NEVER_IDLE,
    REPLICA_LOCK_SEED,
    longest_connect_seconds,
)

if TYPE_CHECKING:
    import psycopg

CALL_TIMEOUT_SECONDS: Final = 3.0


class LockSession:
    """One session with the lock of `owner`; see `open`.

    Any call may raise psycopg.Error, OSError or TimeoutError. Then the session is lost. The lock is
    shared, because a replica that lost a connection may have a new session before the server
    notices the end of the old one.
    """

    def __init__(self, connection: "psycopg.AsyncConnection[Any]", owner: str) -> None:
        self._connection = connection
        self._owner = owner

    @classmethod
    async def open(cls, parameters: Mapping[str, Any], owner: str) -> "LockSession":
        """Connect, and take the lock. `parameters` are those of the driver's `connect`."""
        import psycopg  # SQLite does not need this driver

        async with asyncio.timeout(longest_connect_seconds(parameters)):
            connection = await psycopg.AsyncConnection.connect(autocommit=True, **parameters)
        session = cls(connection, owner)
        try:
            await session._execute(NEVER_IDLE, {})
            await session._execute(_LOCK, {"owner": owner, "seed": REPLICA_LOCK_SEED})
        except BaseException:
            session.close()
            raise
        return session

    async def register(self) -> None:
        """Add the owner to `replica_sessions`. From now on others judge it by its lock."""
        await self._execute(_REGISTER, {"owner": self._owner})

    async def find_unlocked(self) -> frozenset[str]:
        """The owners in `replica_sessions` whose lock no session holds now."""
        cursor = await self._execute(_UNLOCKED, {"seed": REPLICA_LOCK_SEED})
        return frozenset(owner for (owner,) in await cursor.fetchall())

    def close(self) -> None:
        """Close it without a message to the server, because the server may not answer."""
        self._connection.pgconn.finish()

    async def _execute(self, query: str, values: Mapping[str, Any]) -> "psycopg.AsyncCursor[Any]":
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
            return await self._connection.execute(query.encode(), values)


_LOCK: Final = "SELECT pg_advisory_lock_shared(hashtextextended(%(owner)s, %(seed)s))"
_REGISTER: Final = (
    "INSERT INTO replica_sessions (owner) VALUES (%(owner)s) ON CONFLICT (owner) DO NOTHING"
)
# pg_locks shows the number of an advisory lock as two halves.
_UNLOCKED: Final = """
SELECT owner FROM replica_sessions WHERE NOT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = hashtextextended(owner, %(seed)s)
)
"""
