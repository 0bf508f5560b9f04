"""Slots: in which of them a start may be calling the API."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from worker.store.database.schema import UNFINISHED, inbox


def find_starting(
    connection: sa.Connection, requests: Sequence[Collection[str]]
) -> list[frozenset[str]]:
    """Operation: those of each request's slots whose unfinished start may have been called."""
    return _called(connection, requests, sa.true())


def find_calling(connection: sa.Connection, requests: Sequence[Collection[str]]) -> list[bool]:
    """Operation: whether somebody is at work on a start of each request's slots, and calls it."""
    return [bool(slots) for slots in _called(connection, requests, inbox.c.state == "running")]


def _called(
    connection: sa.Connection, requests: Sequence[Collection[str]], which: sa.ColumnElement[bool]
) -> list[frozenset[str]]:
    wanted = sorted({slot for slots in requests for slot in slots})
    mine = sa.and_(UNFINISHED, which, inbox.c.slot.in_(wanted), inbox.c.called_at.is_not(None))
    held = frozenset(connection.execute(sa.select(inbox.c.slot).where(mine)).scalars())
    return [held.intersection(slots) for slots in requests]
