"""Executes batches of requests in transactions. All of this runs in the store's thread."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable
from worker.store.database.advice import READ_ONLY_SQLSTATE, reason_of
from worker.store.database.clock import TransactionClock
from worker.store.database.direct import begin, commit, connect_direct, send_queue_before_sqlalchemy
from worker.store.database.notifications import Notifier, Topic
from worker.store.database.sqlite_files import FilesLost, SqliteFiles
from worker.store.database.submissions import (
    AttachedRequest,
    Submission,
    final_result,
    run_operations,
)

MAX_TRIES: Final = 3

CONFLICT_SQLSTATES: Final = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock between replicas: try again at once."""


class _AttachedFailed(Exception):
    """A transaction failed and was rolled back, possibly because of an attached operation in it."""


class BatchResult(NamedTuple):
    """What became of a batch.

    `results` has the result of each submission, or the exception that it raised; `attached` has
    those of the attached requests that were executed. `topics` are those of the commits.
    """

    results: Sequence[Any]
    attached: Sequence[tuple[AttachedRequest, Any]] = ()
    topics: frozenset[Topic] = frozenset()


class TransactionRunner:
    """Executes batches on one connection of `engine`, each in one transaction if possible.

    If a batch fails, each of its requests gets a transaction of its own. `notifier` announces the
    topics of each commit to other replicas. `clock`, if given, takes part in every transaction.
    `files`, if given, are checked after every transaction.
    """

    def __init__(
        self,
        engine: sa.Engine,
        notifier: Notifier,
        *,
        clock: TransactionClock | None,
        files: SqliteFiles | None,
    ) -> None:
        self._engine = engine
        self._notifier = notifier
        self._clock = clock
        self._files = files
        if engine.dialect.name == "postgresql":
            send_queue_before_sqlalchemy(engine)
        self._connection: sa.Connection | None = None

    def run(self, batch: list[Submission], attached: Sequence[AttachedRequest]) -> BatchResult:
        """Commit the batch. Raises no error of the database: the results have it."""
        try:
            return self._commit(batch, attached)
        except _AttachedFailed:
            return self.run(batch, ())
        except exc.OperationalError as error:
            if not _is_conflict(error):
                return BatchResult([self._unavailable(error) for _ in batch])
        except exc.InterfaceError as error:
            return BatchResult([self._unavailable(error) for _ in batch])
        except FilesLost:
            return BatchResult([self._lost_files()] * len(batch))
        except StoreUnavailable as error:
            return BatchResult([error] * len(batch))
        except Exception:  # noqa: BLE001, S110 - one by one, it turns out whose fault it is
            pass
        parts = [self._commit_alone(submission) for submission in batch]
        topics = frozenset(topic for part in parts for topic in part.topics)
        return BatchResult([part.results[0] for part in parts], topics=topics)

    def _commit_alone(self, submission: Submission) -> BatchResult:
        """Commit a request whose batch failed. After a conflict between replicas it is tried
        again."""
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                return self._commit([submission], ())
            except exc.IntegrityError as error:
                if not tries_left:
                    return BatchResult([error])
            except exc.DBAPIError as error:
                if not tries_left or not _is_conflict(error):
                    return BatchResult([self._unavailable(error)])
            except Exception as error:  # noqa: BLE001 - handed to whoever submitted the request
                return BatchResult([error])
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

    def _commit(self, batch: list[Submission], attached: Sequence[AttachedRequest]) -> BatchResult:
        """Commit all in one transaction."""
        if self._files is not None and self._files.are_lost:
            self._files.check()
        last = [index for index, submission in enumerate(batch) if submission.last]
        others = [index for index, submission in enumerate(batch) if not submission.last]
        results: list[Any] = [None] * len(batch)
        included: list[AttachedRequest] = []
        try:
            with self.transaction() as connection:
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
        if after_commit is not None:
            after_commit()
        return BatchResult(
            [final_result(result) for result in results],
            list(zip(included, map(final_result, answers), strict=True)),
            topics,
        )

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
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

    def close(self) -> None:
        """Close the connection and the engine."""
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def _is_conflict(error: exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in CONFLICT_SQLSTATES
