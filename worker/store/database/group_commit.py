"""Group commit: what waits to be written shares one transaction.

A commit costs a sync of the disk however small it is, so everything that asks while one commit
runs goes into the next, at once and in one transaction. Nobody lingers: an idle store commits a
single request immediately.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable
from worker.store.database.notifications import Notifier, Topic

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
Operation = Callable[[sa.Connection, Sequence[RequestT]], list[ResultT]]
"""Works off all requests of one kind inside the given transaction; one result for each, in order.
Must be safe to run again: a transaction that failed is rolled back and tried request by request."""

MAX_BATCH: Final = 500
MAX_TRIES: Final = 3
READ_ONLY_SQLSTATE: Final = "25006"
"""SQLSTATE of a server that takes no writes: it has become a standby."""


class _Waiting(NamedTuple):
    operation: Operation[Any, Any]
    request: Any
    done: asyncio.Future[Any]
    last: bool


class GroupCommit:
    """Runs operations on one connection in a thread of its own, many requests to a transaction.

    What the transactions leave is told to those who hear `news`. `on_begin`, if given, sees the
    connection at the beginning of every transaction; `on_commit` is called when one is committed.
    """

    def __init__(
        self,
        engine: sa.Engine,
        news: Notifier,
        *,
        on_begin: Callable[[sa.Connection], None] | None = None,
        on_commit: Callable[[], None] | None = None,
    ) -> None:
        self._engine = engine
        self._news = news
        self._left: set[Topic] = set()
        self._on_begin = on_begin
        self._on_commit = on_commit
        self._waiting: list[_Waiting] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._working: asyncio.Task[None] | None = None
        self._connection: sa.Connection | None = None
        self._closed = False
        self.commit_error: str | None = None
        """Why the last transaction could not be committed; None when it was."""

    async def submit(
        self, operation: Operation[RequestT, ResultT], request: RequestT, *, last: bool = False
    ) -> ResultT:
        """Return the operation's result for this request once it is committed.

        An operation that locks what all replicas want comes `last` in its transaction: nobody
        waits for it longer than for the commit, and nobody who has it waits for anything else.
        Raises StoreUnavailable when it was not; what the operation itself raises is passed on.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        done: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(operation, request, done, last))
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="store")
        return await done

    async def close(self) -> None:
        """Finish what waits, then let go of the database and end the thread; once is enough."""
        if self._closed:
            return
        self._closed = True
        while self._working is not None:
            await asyncio.wait([self._working])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                outcomes = await loop.run_in_executor(self._thread, self._commit, batch)
                self.commit_error = _trouble(outcomes)
                for waiting, outcome in zip(batch, outcomes, strict=True):
                    if waiting.done.done():  # its asker was cancelled; the commit stands
                        continue
                    if isinstance(outcome, Exception):
                        waiting.done.set_exception(outcome)
                    else:
                        waiting.done.set_result(outcome)
                left, self._left = self._left, set()
                self._news.notify(left)
        finally:
            self._working = None

    def _commit(self, batch: list[_Waiting]) -> list[Any]:
        """One result or exception for each request of the batch."""
        try:
            return self._in_one_transaction(batch)
        except exc.OperationalError as error:
            if not _is_conflict(error):
                return [self._unavailable(error) for _ in batch]
        except exc.InterfaceError as error:
            return [self._unavailable(error) for _ in batch]
        except Exception:  # noqa: BLE001, S110 - whose fault it is turns out one by one
            pass
        return [self._alone(waiting) for waiting in batch]

    def _alone(self, waiting: _Waiting) -> Any:  # noqa: ANN401 - whatever the operation returns
        """A request whose company failed. Races between replicas end after a repetition."""
        for last in (*[False] * (MAX_TRIES - 1), True):
            try:
                return self._in_one_transaction([waiting])[0]
            except exc.IntegrityError as error:
                if last:
                    return error
            except exc.DBAPIError as error:
                if last or not _is_conflict(error):
                    return self._unavailable(error)
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                return error
        raise AssertionError

    def _unavailable(self, error: exc.DBAPIError) -> StoreUnavailable:
        if getattr(error.orig, "sqlstate", None) == READ_ONLY_SQLSTATE:
            self._engine.dispose()  # another server writes now: only a new connection finds it
        # The statement's parameters may hold anything, so only the driver's own words go out.
        words = str(error.orig).splitlines() or [type(error.orig).__name__]
        unavailable = StoreUnavailable(words[0][:300])
        unavailable.__cause__ = error.orig
        return unavailable

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """A transaction on the one connection, which is kept unless something goes wrong on it."""
        connection = self._connection or self._engine.connect()
        self._connection = None
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()

    def _in_one_transaction(self, batch: list[_Waiting]) -> list[Any]:
        by_operation: dict[Operation[Any, Any], list[int]] = {}
        for index in sorted(range(len(batch)), key=lambda one: batch[one].last):
            by_operation.setdefault(batch[index].operation, []).append(index)
        results: list[Any] = [None] * len(batch)
        with self._transaction() as connection:
            self._news.begin(connection)
            if self._on_begin is not None:
                self._on_begin(connection)
            for operation, indexes in by_operation.items():
                answers = operation(connection, [batch[index].request for index in indexes])
                for index, answer in zip(indexes, answers, strict=True):
                    results[index] = answer
            left = self._news.announce(connection)
        self._left |= left
        if self._on_commit is not None:
            self._on_commit()
        return results


def _trouble(outcomes: list[Any]) -> str | None:
    """Nobody got through: the database is away. Some did: it is there."""
    if all(isinstance(outcome, StoreUnavailable) for outcome in outcomes):
        return str(outcomes[0])
    return None


def _is_conflict(error: exc.DBAPIError) -> bool:
    """Deadlock or serialization failure between replicas: worth another try at once."""
    return getattr(error.orig, "sqlstate", None) in {"40001", "40P01"}
