"""Group commit: requests that wait at the same time share one transaction.

A commit costs one sync of the disk, regardless of its size. So all requests that arrive while a
commit runs go into the next transaction together, up to the limits of `submission_queue`. No
request waits for others: an idle store commits a single request at once.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVarTuple

import sqlalchemy as sa
from sqlalchemy import exc

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.store.database.advice import READ_ONLY_SQLSTATE, reason_of
from worker.store.database.clock import TransactionClock
from worker.store.database.direct import begin, commit, connect_direct, send_before_sqlalchemys
from worker.store.database.notifications import Notifier, Topic
from worker.store.database.sqlite_files import FilesLost, SqliteFiles
from worker.store.database.store_thread import StoreThread
from worker.store.database.submission_queue import SubmissionQueue
from worker.store.database.submissions import (
    AttachedRequest,
    OneByOne,
    Operation,
    RequestT,
    ResultT,
    Submission,
    made,
    run_operations,
    set_results,
)

MAX_TRIES: Final = 3

CLOSE_TIMEOUT_SECONDS: Final = 2.0
"""How long closing waits for the transactions in progress."""

CONFLICT_SQLSTATES: Final = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock between replicas: try again at once."""


ArgumentsT = TypeVarTuple("ArgumentsT")


class _AttachedFailed(Exception):
    """A transaction failed and was rolled back, possibly because of an attached operation in it."""


class GroupCommit:
    """Runs operations on one connection, in a separate thread, many requests per transaction.

    `notifier` publishes the topics of each commit. `clock`, if given, takes part in every
    transaction. `files`, if given, are checked after every transaction.
    """

    def __init__(
        self,
        engine: sa.Engine,
        notifier: Notifier,
        *,
        clock: TransactionClock | None,
        files: SqliteFiles | None = None,
    ) -> None:
        self._engine = engine
        self._notifier = notifier
        self._clock = clock
        self._files = files
        if engine.dialect.name == "postgresql":
            send_before_sqlalchemys(engine)
        self._topics: set[Topic] = set()
        self._waiting = SubmissionQueue()
        self._attached: list[AttachedRequest] = []
        self._attached_results: list[tuple[AttachedRequest, Any]] = []
        self._thread = StoreThread()
        self._idle = asyncio.Event()
        self._idle.set()
        self._connection: sa.Connection | None = None
        self._closed = False
        self.commit_error: str | None = None
        """Why the last transaction could not be committed; None if it was committed."""
        self.must_end = asyncio.Event()
        """Set when only a new process can use the database."""

    # On the loop

    async def run(
        self,
        function: Callable[[sa.Connection, *ArgumentsT], ResultT],
        *arguments: *ArgumentsT,
        last: bool = False,
        urgent: bool = False,
        size: int = 1,
    ) -> ResultT:
        """Return the function's result for these arguments once it is committed.

        As `submit`, for a function that executes one request. It must be safe to run again.
        """
        return await self.submit(OneByOne(function), arguments, last=last, urgent=urgent, size=size)

    async def submit(
        self,
        operation: Operation[RequestT, ResultT],
        request: RequestT,
        *,
        last: bool = False,
        urgent: bool = False,
        size: int = 1,
    ) -> ResultT:
        """Return the operation's result for this request once it is committed.

        Use `urgent` if a command waits for it. `size` is how many recordings it is about.

        Use `last` for an operation that locks a row that all replicas need: it comes last in its
        transaction. Then it holds the lock only for the commit, and never while it waits for
        another lock.

        Raises StoreUnavailable if nothing was committed, and the errors of the operation.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        done: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.add(Submission(operation, request, done, last, urgent, size))
        if self._idle.is_set():
            self._idle.clear()
            # Not yet: requests of this turn of the loop belong together.
            asyncio.get_running_loop().call_soon(self._begin)
        return await done

    def attach(
        self, topic: Topic, operation: Operation[RequestT, ResultT], request: RequestT
    ) -> asyncio.Future[ResultT]:
        """Run the operation at the end of the next transaction that notifies `topic`.

        So it sees that transaction's changes, without a separate transaction. Then no other
        subscriber is notified. Cancel the future to withdraw. The operation may run anyway, so it
        must be safe to repeat. If the transaction fails, the operation waits for the next one. If
        the operation fails, the transaction is executed without it, and the subscribers are
        notified.

        Only operations submitted with `last` come after it, because it may wait for a lock.
        """
        done: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._attached.append(AttachedRequest(topic, operation, request, done))
        return done

    async def close(self) -> None:
        """Commit the waiting requests, then close the database and end the thread. May be called
        again.

        If the database is silent, the connection and the thread are left to the end of the process.
        """
        if self._closed:
            return
        self._closed = True
        if not await wait_until_set(self._idle, CLOSE_TIMEOUT_SECONDS):
            return
        closed: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._thread.run(self._close_connection, closed.set_result)
        error = await closed
        self._thread.end()
        if error is not None:
            raise error

    def _begin(self) -> None:
        """Pass the waiting requests to the store's thread, for one transaction."""
        batch = self._waiting.take_batch()
        self._attached = [request for request in self._attached if not request.done.done()]
        self._thread.run(
            partial(self._commit, batch, tuple(self._attached)), partial(self._on_done, batch)
        )

    def _on_done(self, batch: list[Submission], results: list[Any] | Exception) -> None:
        """Return the results, and begin the next transaction if requests wait for it."""
        if isinstance(results, Exception):
            results = [results] * len(batch)
        self.commit_error = _commit_error(results)
        self._set_attached_results()
        set_results(batch, results)
        if self._files is not None and self._files.must_end:
            self.must_end.set()
        topics, self._topics = self._topics, set()
        if self._waiting:
            self._begin()
        else:
            self._idle.set()
        self._notifier.notify(topics)

    def _set_attached_results(self) -> None:
        results, self._attached_results = self._attached_results, []
        set_results([request for request, _ in results], [result for _, result in results])

    # In the store's thread

    def _commit(self, batch: list[Submission], attached: Sequence[AttachedRequest]) -> list[Any]:
        """One result or exception for each submission of the batch."""
        try:
            return self._commit_together(batch, attached)
        except _AttachedFailed:
            return self._commit(batch, ())
        except exc.OperationalError as error:
            if not _is_conflict(error):
                return [self._unavailable(error) for _ in batch]
        except exc.InterfaceError as error:
            return [self._unavailable(error) for _ in batch]
        except FilesLost:
            return [self._lost_files()] * len(batch)
        except StoreUnavailable as error:
            return [error] * len(batch)
        except Exception:  # noqa: BLE001, S110 - one by one, it turns out whose fault it is
            pass
        return [self._commit_alone(submission) for submission in batch]

    def _commit_alone(self, submission: Submission) -> Any:  # noqa: ANN401 - of any operation
        """The result of a request whose batch failed. After a conflict between replicas it is
        tried again."""
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                return self._commit_together([submission])[0]
            except exc.IntegrityError as error:
                if not tries_left:
                    return error
            except exc.DBAPIError as error:
                if not tries_left or not _is_conflict(error):
                    return self._unavailable(error)
            except Exception as error:  # noqa: BLE001 - handed to whoever submitted the request
                return error
        raise AssertionError

    def _unavailable(self, error: exc.DBAPIError) -> StoreUnavailable:
        if getattr(error.orig, "sqlstate", None) == READ_ONLY_SQLSTATE:
            self._engine.dispose()  # another server accepts writes: only a new connection finds it
        unavailable = StoreUnavailable(reason_of(error))
        unavailable.__cause__ = error.orig
        return unavailable

    def _lost_files(self) -> StoreUnavailable:
        assert self._files is not None  # noqa: S101 - it has raised the error
        try:
            with self._engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                return self._files.explain(driver)
        except StoreUnavailable as error:
            return error

    def _commit_together(
        self, batch: list[Submission], attached: Sequence[AttachedRequest] = ()
    ) -> list[Any]:
        if self._files is not None and self._files.are_lost:
            self._files.check()
        last = [index for index, submission in enumerate(batch) if submission.last]
        others = [index for index, submission in enumerate(batch) if not submission.last]
        results: list[Any] = [None] * len(batch)
        included: list[AttachedRequest] = []
        try:
            with self._transaction() as connection:
                self._notifier.begin(connection)
                after_commit = self._clock.on_begin(connection) if self._clock else None
                run_operations(connection, batch, others, results)
                included = [
                    request
                    for request in attached
                    if self._notifier.take(connection, request.topic)
                ]
                answers = [
                    request.operation(connection, [request.request])[0] for request in included
                ]
                run_operations(connection, batch, last, results)
                topics = self._notifier.announce(connection)
        except Exception as error:
            is_lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
            if not included or is_lost:  # a lost connection fails without attached operations, too
                raise
            raise _AttachedFailed from error
        if self._files is not None:
            self._files.check()  # a commit to removed files is lost
        self._topics |= topics
        self._attached_results += zip(included, map(made, answers), strict=True)
        if after_commit is not None:
            after_commit()
        return [made(result) for result in results]

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """A transaction on the one connection. An error closes the connection."""
        is_new = self._connection is None
        connection = self._connection or connect_direct(self._engine)
        self._connection = None
        try:
            if not is_new:
                begin(connection)
            yield connection
            commit(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def _commit_error(results: Sequence[Any]) -> str | None:
    """The error if no request was committed, which means that the database is down."""
    if all(isinstance(result, StoreUnavailable) for result in results):
        return str(results[0])
    return None


def _is_conflict(error: exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in CONFLICT_SQLSTATES
