"""Cursors: named times up to which the worker has followed something."""

from collections.abc import Sequence
from hashlib import sha256

import msgspec
import sqlalchemy as sa

from worker.store.database.schema import marks


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The time up to which the worker has followed something, in seconds since the epoch. None
    removes the cursor."""

    name: str
    at: float | None


def external_recordings_cursor(app: str) -> str:
    """The name of the cursor for the last webhook about a recording that the worker does not know.

    Databases that exist contain this name.
    """
    return f"stranger/{app}"


def followed_cursor(app: str) -> str:
    """The name of the cursor for the time before which all of the app's recordings are known."""
    return f"followed/{app}"


def sweep_cursor(app: str) -> str:
    """The name of the cursor for the app's last completed sweep."""
    return f"sweep/{app}"


def webhook_cursor(app: str) -> str:
    """The name of the cursor for the last sweep before which webhooks reported something."""
    return f"webhook/{app}"


def missed_webhook_cursor(app: str) -> str:
    """The name of the cursor for the last change that a sweep found and no webhook reported."""
    return f"missed-webhook/{app}"


def archive_folder_cursor(folder: str) -> str:
    """The name of the cursor for the first use of a folder as the archive."""
    return f"archive-folder/{sha256(folder.encode(errors='surrogatepass')).hexdigest()}"


def find_cursors(connection: sa.Connection, names: Sequence[str]) -> list[float | None]:
    """Operation: the time of each cursor; None for a cursor that does not exist."""
    rows = connection.execute(
        sa.select(marks.c.name, marks.c.at).where(marks.c.name.in_(sorted(set(names))))
    )
    times = {row.name: row.at for row in rows}
    return [times.get(name) for name in names]


def set_cursors(connection: sa.Connection, cursors: Sequence[Cursor]) -> list[None]:
    """Operation: move or remove cursors."""
    for cursor in cursors:
        same_name = marks.c.name == cursor.name
        if cursor.at is None:
            connection.execute(sa.delete(marks).where(same_name))
        elif not connection.execute(
            sa.update(marks).where(same_name).values(at=cursor.at)
        ).rowcount:
            # Two replicas may insert at the same time. Then the second transaction is run again.
            connection.execute(sa.insert(marks).values(name=cursor.name, at=cursor.at))
    return [None] * len(cursors)
