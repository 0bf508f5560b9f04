"""What a commit leaves for others to do, told to those who do it.

A commit that leaves events to publish or recordings to read tells so on this loop, and on
PostgreSQL to every other replica too: NOTIFY, once for a transaction, arrives with its commit.
News can be lost with a connection and are never owed to anybody: whoever acts on them looks by
himself now and then as well.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, cast, get_args

import sqlalchemy as sa
import structlog

from worker.store.database.engine import connect_arguments

if TYPE_CHECKING:
    import psycopg

Topic = Literal["outbox", "due", "lease"]
"""`outbox`: there are events to publish. `due`: there are recordings to read by themselves.
`lease`: somebody gave a lease up."""

TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
CHANNEL: Final = "recording_worker"
_LEFT: Final = "recording_worker_left"
LISTEN_CHECK_INTERVAL_SECONDS: Final = 15.0
"""After so much silence the connection is asked whether it is still there."""

LISTEN_TIMEOUT_SECONDS: Final = 10.0
MAX_RECONNECT_PAUSE_SECONDS: Final = 10.0


def notify_on_commit(connection: sa.Connection, topic: Topic) -> None:
    """Have this transaction tell of the topic when it is committed."""
    connection.info.setdefault(_LEFT, set()).add(topic)


class Notifier:
    """What is left by the commits of one store, and on PostgreSQL by those of its neighbours."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._shared = engine.dialect.name == "postgresql"
        self._hearers: list[tuple[Topic, Callable[[], None]]] = []
        self._own_pid: int | None = None

    def subscribe(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop whenever there may be something of the topic."""
        self._hearers.append((topic, callback))

    def notify(self, topics: Collection[Topic]) -> None:
        """Call everybody who wants to hear of these."""
        for topic, callback in self._hearers:
            if topic in topics:
                callback()

    # In the store's thread

    def begin(self, connection: sa.Connection) -> None:
        """Nothing is left by this transaction yet."""
        connection.info[_LEFT] = set()

    def announce(self, connection: sa.Connection) -> frozenset[Topic]:
        """What this transaction leaves; the other replicas hear of it when it is committed."""
        left: frozenset[Topic] = frozenset(connection.info[_LEFT])
        if left and self._shared:
            self._own_pid = _pid(connection)
            for topic in sorted(left):
                connection.execute(_NOTIFY, {"channel": CHANNEL, "topic": topic})
        return left

    # On the loop

    async def listen(self) -> None:
        """Hear of the commits of other replicas for ever; on SQLite there are none to hear of."""
        if self._shared:
            await _listen(connect_arguments(self._engine), self._hear)

    def _hear(self, note: "psycopg.Notify | None", schema: str) -> None:
        """`note` is None when a connection is new: nobody knows what was told before."""
        if note is None:
            self.notify(TOPICS)
            return
        told_in, _, topic = note.payload.rpartition("/")
        # What this store committed itself it has told already.
        if told_in == schema and note.pid != self._own_pid and topic in TOPICS:
            self.notify({topic})


_NOTIFY: Final = sa.text("SELECT pg_notify(:channel, current_schema() || '/' || :topic)")
"""Channels belong to a database, which several deployments may share, each in its own schema."""


def _pid(connection: sa.Connection) -> int:
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    return driver.info.backend_pid


async def _listen(
    arguments: dict[str, Any], hear: Callable[["psycopg.Notify | None", str], None]
) -> NoReturn:
    """Call `hear` with each note and the schema that this worker uses; None for a new connection.

    A connection that is lost is made again, after pauses that grow to ten seconds. `arguments` are
    those of the driver's `connect`.
    """
    import psycopg  # a driver that SQLite does without

    failures = 0
    while True:
        session = _Session(arguments)
        try:
            await session.run(hear)
        except (psycopg.Error, OSError, TimeoutError) as error:
            failures = 1 if session.was_up else failures + 1
            words = str(error).splitlines() or [type(error).__name__]
            structlog.get_logger().warning("listen_connection_lost", reason=words[0][:300])
        await asyncio.sleep(
            random.uniform(0, min(MAX_RECONNECT_PAUSE_SECONDS, 0.2 * 2 ** min(failures, 10)))
        )


class _Session:
    """One connection that listens, until it is lost."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self.was_up = False

    async def run(self, hear: Callable[["psycopg.Notify | None", str], None]) -> NoReturn:
        import psycopg

        async with asyncio.timeout(LISTEN_TIMEOUT_SECONDS):
            connection = await psycopg.AsyncConnection.connect(autocommit=True, **self._arguments)
        try:
            schema = await self._begin(connection)
            self.was_up = True
            hear(None, schema)
            while True:
                async for note in connection.notifies(timeout=LISTEN_CHECK_INTERVAL_SECONDS):
                    hear(note, schema)
                async with asyncio.timeout(LISTEN_TIMEOUT_SECONDS):
                    await connection.execute("SELECT 1")
        finally:
            # Without a word to the server: it may be the one that does not answer.
            connection.pgconn.finish()

    async def _begin(self, connection: "psycopg.AsyncConnection[Any]") -> str:
        async with asyncio.timeout(LISTEN_TIMEOUT_SECONDS):
            await connection.execute(f"LISTEN {CHANNEL}")
            row = await (await connection.execute("SELECT current_schema()")).fetchone()
        return str(row[0]) if row else ""
