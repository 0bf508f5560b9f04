"""Finds the whole ids of a short one. Workers may run meanwhile.

The search goes through an index from one different id to the next, and ends after a few.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Final, Literal

import sqlalchemy as sa

from worker.domain.short_ids import beginning, stands_for, without_ellipsis
from worker.store.database.dialects import meeting_key
from worker.store.database.schema import inbox, recordings

IdKind = Literal["recording", "start", "command", "meeting"]
"""`start` is a start command that has led to a recording."""

MAX_FOUND: Final = 10
MAX_MISSES: Final = 3
"""A collation may sort other ids between those with the same beginning. At most this many are
skipped."""


def find_whole_ids(connection: sa.Connection, text: str, kinds: Collection[IdKind]) -> list[str]:
    """The ids that `text` may mean: the id itself if it exists, else the ids that it abbreviates.

    At most MAX_FOUND and one more.
    """
    columns = [(kind, column) for kind, column in _COLUMNS.items() if kind in kinds]
    if any(_exists(connection, kind, column, text) for kind, column in columns):
        return [text]
    found: dict[str, None] = {}
    for kind, column in columns:
        found |= dict.fromkeys(_short_for(connection, kind, column, text))
    return sorted(found)[: MAX_FOUND + 1]


def find_ids_that_begin(
    connection: sa.Connection, text: str, kinds: Collection[IdKind]
) -> list[str]:
    """The ids that begin with `text`, although it is not a valid short form of them.

    At most MAX_FOUND and one more.
    """
    start = without_ellipsis(text)
    found: dict[str, None] = {}
    for kind, column in _COLUMNS.items():
        if start and kind in kinds:
            begin = start.lower() if kind == "meeting" else start
            found |= dict.fromkeys(_after(connection, column, begin, _begins_with(begin)))
    return sorted(found)[: MAX_FOUND + 1]


_COLUMNS: Final[dict[IdKind, sa.Column[str]]] = {
    "recording": recordings.c.recording_id,
    "start": recordings.c.start_id,
    "command": inbox.c.command_id,
    "meeting": recordings.c.meeting_id,
}


def _exists(connection: sa.Connection, kind: IdKind, column: sa.Column[str], text: str) -> bool:
    key = meeting_key(text) if kind == "meeting" else text
    queries = _halves(connection, sa.select(column).where(column == key).limit(1))
    return any(connection.execute(query).first() is not None for query in queries)


def _short_for(
    connection: sa.Connection, kind: IdKind, column: sa.Column[str], text: str
) -> Iterator[str]:
    start = beginning(text)
    if start is None:
        return
    if kind == "meeting":
        text, start = text.lower(), start.lower()
    yield from _after(connection, column, start, lambda whole_id: stands_for(text, whole_id))


def _begins_with(start: str) -> Callable[[str], bool]:
    return lambda whole_id: whole_id.startswith(start)


def _after(
    connection: sa.Connection, column: sa.Column[str], start: str, fits: Callable[[str], bool]
) -> Iterator[str]:
    for query in _halves(connection, sa.select(column).order_by(column).limit(1)):

        def next_id(after: str, query: sa.Select[str] = query) -> str | None:
            return connection.execute(query.where(column > after)).scalar()

        yield from _walk(next_id, start, fits)


def _walk(
    next_id: Callable[[str], str | None], start: str, fits: Callable[[str], bool]
) -> Iterator[str]:
    """The ids after `start` that fit. The beginning of an id sorts before the id."""
    count = misses = 0
    whole_id = next_id(start)
    while whole_id is not None and count <= MAX_FOUND and misses < MAX_MISSES:
        if fits(whole_id):
            count += 1
            yield whole_id
        else:
            misses += 1
        whole_id = next_id(whole_id)


def _halves(connection: sa.Connection, query: sa.Select[str]) -> list[sa.Select[str]]:
    """The query once for each index: SQLite's open and closed recordings have one each."""
    if recordings not in query.get_final_froms() or connection.dialect.name != "sqlite":
        return [query]
    return [query.where(recordings.c.open), query.where(sa.not_(recordings.c.open))]
