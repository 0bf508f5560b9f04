"""Notifications: after a commit, the worker's parts learn that they have work.

A notification goes to the subscribers on this loop. On PostgreSQL it also goes to every other
replica: NOTIFY, once per topic and transaction, arrives with the commit. A notification can be lost
with its connection. Therefore every subscriber also checks for work at intervals.
"""

import asyncio
import random
import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, cast, get_args

import sqlalchemy as sa
import structlog

from worker.store.database.direct import DirectStatement
from worker.store.database.postgresql import NEVER_IDLE, longest_connect_seconds

if TYPE_CHECKING:
    import psycopg

Topic = Literal["outbox", "replies", "due", "lease", "parked", "archive"]
"""`outbox`: there are events to publish. `replies`: there are replies to publish. `due`: there
are recordings to read. `lease`: a lease was released. `parked`: parked commands are due.
`archive`: there are files to copy, or manifests to write."""

TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
CHANNEL: Final = "recording_worker"

LISTEN_CHECK_INTERVAL_SECONDS: Final = 15.0
"""The listening connection is checked after this long without a notification."""

LISTEN_TIMEOUT_SECONDS: Final = 10.0
MAX_RECONNECT_PAUSE_SECONDS: Final = 10.0

_TOPICS_KEY: Final = "recording_worker_topics"

OnNotification = Callable[["psycopg.Notify | None", str], None]
"""Called with a notification and the schema that this worker uses. Called with None when a
connection is new, because earlier notifications may be lost."""


def notify_on_commit(connection: sa.Connection, topic: Topic) -> None:
    """Notify the topic when this transaction is committed."""
    _topics_of(connection).add(topic)


def _topics_of(connection: sa.Connection) -> set[Topic]:
    """The topics of the transaction, kept with SQLAlchemy's connection."""
    topics: set[Topic] | None = connection.get_execution_options().get(_TOPICS_KEY)
    if topics is None:
        topics = set()
        connection.execution_options(**{_TOPICS_KEY: topics})
    return topics


class Notifier:
    """The notifications of one store's commits and, on PostgreSQL, of the other replicas'.

    `parameters` returns those of the driver's next `connect`. With None, there is no exchange with
    other replicas: SQLite has none, and behind a pooler in transaction mode LISTEN does not work.
    """

    def __init__(self, parameters: Callable[[], dict[str, Any]] | None) -> None:
        self._parameters = parameters
        self._subscribers: list[tuple[Topic, Callable[[], None]]] = []
        self._own_pids: dict[int, int] = {}  # of each store's thread

    def subscribe(self, topic: Topic, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop whenever the topic is notified."""
        self._subscribers.append((topic, callback))

    def notify(self, topics: Collection[Topic]) -> None:
        """Call the subscribers of these topics."""
        for topic, callback in self._subscribers:
            if topic in topics:
                callback()

    # In the store's thread

    def begin(self, connection: sa.Connection) -> None:
        """Drop the topics of the previous transaction."""
        _topics_of(connection).clear()

    def take(self, connection: sa.Connection, topic: Topic) -> bool:
        """Whether this transaction notifies the topic. From now on it does not."""
        topics = _topics_of(connection)
        is_notified = topic in topics
        topics.discard(topic)
        return is_notified

    def announce(self, connection: sa.Connection) -> frozenset[Topic]:
        """The topics of this transaction. Other replicas are notified when it is committed."""
        topics = frozenset(_topics_of(connection))
        if topics and self._parameters is not None:
            self._own_pids[threading.get_ident()] = _pid(connection)
            for topic in sorted(topics):
                _NOTIFY.execute(connection, {"channel": CHANNEL, "topic": topic})
        return topics

    # On the loop

    async def listen(self) -> None:
        """Listen for commits of other replicas, forever. Returns if there is no listening."""
        if self._parameters is not None:
            await _listen(self._parameters, self._on_notification)

    def _on_notification(self, notification: "psycopg.Notify | None", schema: str) -> None:
        if notification is None:
            self.notify(TOPICS)
            return
        notified_schema, _, topic = notification.payload.rpartition("/")
        # The subscribers of its own commits have been called already.
        is_own = notification.pid in self._own_pids.values()
        if notified_schema == schema and not is_own and topic in TOPICS:
            self.notify({topic})


_NOTIFY: Final = DirectStatement(
    sa.text("SELECT pg_notify(:channel, current_schema() || '/' || :topic)")
)
"""A channel belongs to a database. Several deployments may share a database, each with its own
schema, so the payload names the schema."""


def _pid(connection: sa.Connection) -> int:
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    return driver.info.backend_pid


async def _listen(
    arguments: Callable[[], dict[str, Any]], on_notification: OnNotification
) -> NoReturn:
    """Call `on_notification` for each notification, and whenever a connection is new.

    A lost connection is replaced, after pauses that grow to ten seconds. `arguments` returns those
    of the driver's next `connect`.
    """
    import psycopg  # SQLite does not need this driver

    failures = 0
    while True:
        session = _ListenSession(arguments())
        try:
            await session.run(on_notification)
        except (psycopg.Error, OSError, TimeoutError) as error:
            failures = 1 if session.was_up else failures + 1
            lines = str(error).splitlines() or [type(error).__name__]
            structlog.get_logger().warning("listen_connection_lost", reason=lines[0][:300])
        longest_pause = min(MAX_RECONNECT_PAUSE_SECONDS, 0.2 * 2 ** min(failures, 10))
        await asyncio.sleep(random.uniform(0, longest_pause))


class _ListenSession:
    """One listening connection, until it is lost."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self.was_up = False

    async def run(self, on_notification: OnNotification) -> NoReturn:
        import psycopg  # SQLite does not need this driver

        async with asyncio.timeout(longest_connect_seconds(self._arguments)):
            connection = await psycopg.AsyncConnection.connect(autocommit=True, **self._arguments)
        try:
            schema = await self._begin(connection)
            self.was_up = True
            on_notification(None, schema)
            while True:
                async for notification in connection.notifies(
                    timeout=LISTEN_CHECK_INTERVAL_SECONDS
                ):
                    on_notification(notification, schema)
                async with asyncio.timeout(LISTEN_TIMEOUT_SECONDS):
                    await connection.execute("SELECT 1")
        finally:
            # Closed without a message to the server, because the server may not answer.
            connection.pgconn.finish()

    async def _begin(self, connection: "psycopg.AsyncConnection[Any]") -> str:
        async with asyncio.timeout(LISTEN_TIMEOUT_SECONDS):
            await connection.execute(NEVER_IDLE.encode())
            await connection.execute(f"LISTEN {CHANNEL}")
            row = await (await connection.execute("SELECT current_schema()")).fetchone()
        return str(row[0]) if row else ""
