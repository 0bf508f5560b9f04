"""Hearing of the commits of other replicas on PostgreSQL: LISTEN on a connection of its own."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, NoReturn

import psycopg
import structlog

from worker.store.database.notifications import CHANNEL

CHECK_SECONDS: Final = 15.0
"""After so much silence the connection is asked whether it is still there."""

ANSWER_SECONDS: Final = 10.0
LONGEST_PAUSE: Final = 10.0
Hear = Callable[[psycopg.Notify | None, str], None]


async def listen(arguments: dict[str, Any], hear: Hear) -> NoReturn:
    """Call `hear` with each note and the schema that this worker uses; None for a new connection.

    A connection that is lost is made again, after pauses that grow to ten seconds. `arguments` are
    those of the driver's `connect`.
    """
    failures = 0
    while True:
        session = _Session(arguments)
        try:
            await session.run(hear)
        except (psycopg.Error, OSError, TimeoutError) as error:
            failures = 1 if session.was_up else failures + 1
            words = str(error).splitlines() or [type(error).__name__]
            structlog.get_logger().warning("news_lost", reason=words[0][:300])
        await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.2 * 2 ** min(failures, 10))))


class _Session:
    """One connection that listens, until it is lost."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self.was_up = False

    async def run(self, hear: Hear) -> NoReturn:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await psycopg.AsyncConnection.connect(autocommit=True, **self._arguments)
        try:
            schema = await self._begin(connection)
            self.was_up = True
            hear(None, schema)
            while True:
                async for note in connection.notifies(timeout=CHECK_SECONDS):
                    hear(note, schema)
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.execute("SELECT 1")
        finally:
            # Without a word to the server: it may be the one that does not answer.
            connection.pgconn.finish()

    async def _begin(self, connection: psycopg.AsyncConnection[Any]) -> str:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.execute(f"LISTEN {CHANNEL}")
            row = await (await connection.execute("SELECT current_schema()")).fetchone()
        return str(row[0]) if row else ""
