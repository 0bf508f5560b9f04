"""Group commit: requests that wait at the same time share one transaction.

A commit costs one sync of the disk, regardless of its size. So all requests that arrive while a
commit runs go into the next transaction together, up to the limits of `submission_queue`. No
request waits for others: an idle store commits a single request at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVarTuple

import sqlalchemy as sa

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.store.database.clock import TransactionClock
from worker.store.database.notifications import Notifier, Topic
from worker.store.database.sqlite_files import SqliteFiles
from worker.store.database.store_thread import StoreThread
from worker.store.database.submission_queue import SubmissionQueue
from worker.store.database.submissions import (
    AttachedRequest,
    OneByOne,
    Operation,
    RequestT,
    ResultT,
    Submission,
    set_results,
)
from worker.store.database.transaction_runner import BatchResult, TransactionRunner

CLOSE_TIMEOUT_SECONDS: Final = 2.0
"""How long closing waits for the transactions in progress."""

ArgumentsT = TypeVarTuple("ArgumentsT")


class GroupCommit:
    """Runs operations on one connection, in a separate thread, many requests per transaction.

    `notifier` publishes the topics of each commit. `clock` and `files` are for the transactions.
    """

    def __init__(
        self,
        engine: sa.Engine,
        notifier: Notifier,
        *,
        clock: TransactionClock | None,
        files: SqliteFiles | None = None,
    ) -> None:
        self._runner = TransactionRunner(engine, notifier, clock=clock, files=files)
        self._notifier = notifier
        self._files = files
        self._waiting = SubmissionQueue()
        self._attached: list[AttachedRequest] = []
        self._thread = StoreThread()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self.commit_error: str | None = None
        """Why the last transaction could not be committed; None if it was committed."""
        self.must_end = asyncio.Event()
        """Set when only a new process can use the database."""

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
        self._thread.run(self._runner.close, closed.set_result)
        error = await closed
        self._thread.end()
        if error is not None:
            raise error

    def _begin(self) -> None:
        """Pass the waiting requests to the store's thread, for one transaction."""
        batch = self._waiting.take_batch()
        self._attached = [request for request in self._attached if not request.done.done()]
        self._thread.run(
            partial(self._runner.run, batch, tuple(self._attached)), partial(self._on_done, batch)
        )

    def _on_done(self, batch: list[Submission], done: BatchResult | Exception) -> None:
        """Return the results, and begin the next transaction if requests wait for it."""
        if isinstance(done, Exception):
            done = BatchResult([done] * len(batch))
        self.commit_error = _commit_error(done.results)
        set_results(
            [request for request, _ in done.attached], [result for _, result in done.attached]
        )
        set_results(batch, done.results)
        if self._files is not None and self._files.must_end:
            self.must_end.set()
        if self._waiting:
            self._begin()
        else:
            self._idle.set()
        self._notifier.notify(done.topics)


def _commit_error(results: Sequence[Any]) -> str | None:
    """The error if no request was committed, which means that the database is down."""
    if all(isinstance(result, StoreUnavailable) for result in results):
        return str(results[0])
    return None
