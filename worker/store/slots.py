"""Slots of starts: an app, a meeting and a kind, in which at most one start runs at a time."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from worker.store.database.schema import UNFINISHED, inbox


def find_starting(
    connection: sa.Connection, requests: Sequence[Collection[str]]
) -> list[dict[str, float]]:
    """Operation: the slots of each request whose unfinished start may have called the API, each
    with the time of the first call in seconds since the epoch."""
    return _find_called(connection, requests, sa.true())


def any_calling(connection: sa.Connection, requests: Sequence[Collection[str]]) -> list[bool]:
    """Operation: whether a start in one of each request's slots is running and may be calling."""
    running = _find_called(connection, requests, inbox.c.state == "running")
    return [bool(called) for called in running]


def _find_called(
    connection: sa.Connection, requests: Sequence[Collection[str]], state: sa.ColumnElement[bool]
) -> list[dict[str, float]]:
    slots = sorted({slot for request in requests for slot in request})
    called = sa.and_(UNFINISHED, state, inbox.c.slot.in_(slots), inbox.c.called_at.is_not(None))
    first_call = sa.func.min(inbox.c.called_at).label("first_call")
    calls = sa.select(inbox.c.slot, first_call).where(called).group_by(inbox.c.slot)
    found = {row.slot: row.first_call for row in connection.execute(calls)}
    return [{slot: found[slot] for slot in request if slot in found} for request in requests]
