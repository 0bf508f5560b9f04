"""Cursors: how far each loop that follows something has come, by name."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.store.database.schema import marks


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far something has been followed, in seconds since the epoch; None removes the mark."""

    name: str
    at: float | None


def external_recordings_cursor(app: str) -> str:
    """The mark that says when a recording was last told of that nobody knows."""
    return f"stranger/{app}"


def find_cursors(connection: sa.Connection, names: Sequence[str]) -> list[float | None]:
    """Operation: each mark, None where there is none."""
    rows = connection.execute(
        sa.select(marks.c.name, marks.c.at).where(marks.c.name.in_(sorted(set(names))))
    )
    found = {row.name: row.at for row in rows}
    return [found.get(name) for name in names]


def set_cursors(connection: sa.Connection, requests: Sequence[Cursor]) -> list[None]:
    """Operation: move or remove marks."""
    for wanted in requests:
        mine = marks.c.name == wanted.name
        if wanted.at is None:
            connection.execute(sa.delete(marks).where(mine))
        elif not connection.execute(sa.update(marks).where(mine).values(at=wanted.at)).rowcount:
            # Should two replicas get here at once, the second one's transaction is tried again.
            connection.execute(sa.insert(marks).values(name=wanted.name, at=wanted.at))
    return [None] * len(requests)
