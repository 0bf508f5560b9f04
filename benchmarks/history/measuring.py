"""Measures operations on two databases alternately: with a long history and with a short one."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.history.places import Operation, Place
from benchmarks.history.results import Measured
from worker.store.database.engine import open_engine

MEASURING_SECONDS: Final = 3.0
"""The time-out for the repetitions of an operation on each database."""


Statements = dict[str, dict[str, Any]]
"""For each operation, the statements on the long history and the parameters of the first one."""


async def measure(
    operations: Iterable[Operation],
    places: Sequence[Place],
    *,
    repetitions: int,
    say: Callable[[str], None],
) -> tuple[list[Measured], Statements]:
    """Each operation on both places, the short history first."""
    results, statements = [], Statements()
    for operation in operations:
        times: tuple[list[float], list[float]] = ([], [])
        error = None
        try:
            for repetition in range(repetitions):
                for place, found in zip(places, times, strict=True):
                    if sum(found) < MEASURING_SECONDS * 1000:
                        found.append(await _timed(operation, place, repetition))
            with captured() as statements[operation.name]:
                await operation.run(places[-1], repetitions)
        except Exception as caught:  # noqa: BLE001 - what cannot be done is a result, too
            error = f"{type(caught).__name__}: {caught}"
        short, long = (tuple(found[1:] or found) for found in times)
        result = Measured(
            group=operation.group, name=operation.name, short=short, long=long, error=error
        )
        say(line(result))
        results.append(result)
    return results, statements


async def _timed(operation: Operation, place: Place, repetition: int) -> float:
    began = time.perf_counter()
    await operation.run(place, repetition)
    return (time.perf_counter() - began) * 1000


def line(result: Measured) -> str:
    """A result as a line."""
    medians = f"{result.median(long=False):9.2f} {result.median(long=True):9.2f} ms"
    worst = max(result.long, default=float("nan"))
    return f"{result.name:50} {medians}, worst {worst:9.2f}  {result.error or ''}"


@contextmanager
def captured() -> Iterator[dict[str, Any]]:
    """Every statement that is executed, in any thread, with the parameters of its first time."""
    found: dict[str, Any] = {}

    def note(
        _connection: Any,  # noqa: ANN401 - the library's own
        _cursor: Any,  # noqa: ANN401
        statement: str,
        parameters: Any,  # noqa: ANN401
        _context: Any,  # noqa: ANN401
        many: bool,
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            found.setdefault(statement, parameters[0] if many else parameters)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def plans(url: str, statements: Mapping[str, Mapping[str, Any]]) -> str:
    """The plan of each statement, as text."""
    engine = open_engine(url)
    parts: dict[str, list[str]] = defaultdict(list)
    with engine.connect() as connection:
        how = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
        for operation, of_operation in statements.items():
            for statement, parameters in of_operation.items():
                with connection.begin():
                    rows = connection.exec_driver_sql(f"{how} {statement}", parameters).all()
                steps = "\n".join(f"    {row[-1]}" for row in rows)
                parts[operation].append(f"{' '.join(statement.split())}\n{steps}\n")
    engine.dispose()
    return "\n".join(f"=== {name}\n\n" + "\n".join(texts) for name, texts in parts.items())
