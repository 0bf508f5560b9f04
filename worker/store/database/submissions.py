"""Requests that wait for a transaction, and how one transaction executes many of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from worker.store.database.direct import LaterRows, Rows
from worker.store.database.notifications import Topic

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class LateResult(Generic[ResultT]):
    """A result that is made after the commit, so that its rows may arrive together with the
    commit."""

    def __init__(self, rows: LaterRows, read: Callable[[Rows], ResultT]) -> None:
        self._rows = rows
        self._read = read

    def get(self) -> ResultT:
        """The result. Before the commit, this costs a round trip if its rows are not there yet."""
        return self._read(self._rows.get())


Operation = Callable[
    [sa.Connection, Sequence[RequestT]], Sequence[ResultT] | Sequence[LateResult[ResultT]]
]
"""Executes all requests of one kind in the given transaction, and returns a result for each, in
order. It must be safe to run again: a transaction that failed is rolled back and tried again, one
request at a time."""


class OneByOne(msgspec.Struct, Generic[ResultT], frozen=True):
    """The operation of a function that executes one request: it gets one after the other.

    A request is the tuple of the function's arguments behind the connection.
    """

    function: Callable[..., ResultT]

    def __call__(self, connection: sa.Connection, requests: Sequence[Any]) -> list[ResultT]:
        return [self.function(connection, *arguments) for arguments in requests]


class Submission(NamedTuple):
    """A request that waits for its transaction. The result is given to `done`.

    `last`: its operation comes last in the transaction. `urgent`: a command waits for it. `size`:
    how many recordings it is about.
    """

    operation: Operation[Any, Any]
    request: Any
    done: asyncio.Future[Any]
    last: bool = False
    urgent: bool = False
    size: int = 1


class AttachedRequest(NamedTuple):
    """A request that waits for a transaction that notifies `topic`."""

    topic: Topic
    operation: Operation[Any, Any]
    request: Any
    done: asyncio.Future[Any]


def run_operations(
    connection: sa.Connection,
    batch: Sequence[Submission],
    indexes: Sequence[int],
    results: list[Any],
) -> None:
    """Run these submissions of the batch, those of one kind together, and note their results."""
    indexes_of: dict[Operation[Any, Any], list[int]] = {}
    for index in indexes:
        indexes_of.setdefault(batch[index].operation, []).append(index)
    for operation, own_indexes in indexes_of.items():
        answers = operation(connection, [batch[index].request for index in own_indexes])
        for index, answer in zip(own_indexes, answers, strict=True):
            results[index] = answer


def final_result(result: Any) -> Any:  # noqa: ANN401 - of any operation
    """The result after the commit, or the exception that is raised while it is made."""
    if not isinstance(result, LateResult):
        return result
    try:
        return result.get()
    except Exception as error:  # noqa: BLE001 - handed to whoever submitted the request
        return error


def set_results(batch: Sequence[Submission | AttachedRequest], results: Sequence[Any]) -> None:
    """Give each submission its result or exception."""
    for submission, result in zip(batch, results, strict=True):
        if submission.done.done():  # the caller was cancelled; the commit stands
            continue
        if isinstance(result, Exception):
            submission.done.set_exception(result)
        else:
            submission.done.set_result(result)
