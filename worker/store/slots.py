"""Slots of starts: an app, a meeting and a kind, in which at most one start runs at a time."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from worker.store.database.schema import UNFINISHED, inbox


def find_starting(
    connection: sa.Connection, requests: Sequence[Collection[str]]
) -> list[frozenset[str]]:
    """Operation: the slots of each request whose unfinished start may have called the API."""
    return _find_called(connection, requests, sa.true())


def find_calling(connection: sa.Connection, requests: Sequence[Collection[str]]) -> list[bool]:
    """Operation: whether a start in one of each request's slots is running and may be calling."""
    running = _find_called(connection, requests, inbox.c.state == "running")
    return [bool(slots) for slots in running]


def _find_called(
    connection: sa.Connection, requests: Sequence[Collection[str]], state: sa.ColumnElement[bool]
) -> list[frozenset[str]]:
    slots = sorted({slot for request in requests for slot in request})
    called = sa.and_(UNFINISHED, state, inbox.c.slot.in_(slots), inbox.c.called_at.is_not(None))
    found = frozenset(connection.execute(sa.select(inbox.c.slot).where(called)).scalars())
    return [found.intersection(request) for request in requests]
