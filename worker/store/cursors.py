"""Cursors: named times up to which the worker has followed something."""

from hashlib import sha256

import msgspec
import sqlalchemy as sa

from worker.store.database.schema import named_times


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The time up to which the worker has followed something, in seconds since the epoch. None
    removes the cursor."""

    name: str
    at: float | None


def external_recordings_cursor(app: str) -> str:
    """The name of the cursor for the last webhook about a recording that the worker does not know.

    Existing databases contain this name.
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


def find_cursor(connection: sa.Connection, name: str) -> float | None:
    """The time of a cursor; None if it does not exist."""
    query = sa.select(named_times.c.at).where(named_times.c.name == name)
    return connection.execute(query).scalar()


def set_cursor(connection: sa.Connection, cursor: Cursor) -> None:
    """Move or remove a cursor."""
    same_name = named_times.c.name == cursor.name
    if cursor.at is None:
        connection.execute(sa.delete(named_times).where(same_name))
        return
    change = sa.update(named_times).where(same_name).values(at=cursor.at)
    if not connection.execute(change).rowcount:
        # Two replicas may insert at the same time. Then the second transaction is run again.
        connection.execute(sa.insert(named_times).values(name=cursor.name, at=cursor.at))
