"""One process at a time for an SQLite file.

A worker that opens it frees every lease, because whoever held one must be dead: with two workers on
one file that would be a lie, and one meeting could be recorded twice.
"""

import fcntl
import os.path
from pathlib import Path
from typing import IO

from worker.domain.errors import StoreUnavailable


def sqlite_lock(database: str | None) -> IO[bytes] | None:
    """Take the file `<database>.lock` for this process; closing it, or dying, gives it back.

    It lies beside the file that the path leads to, however it is spelt. None for a database in
    memory. Raises StoreUnavailable when another process has it.
    """
    if not database or database == ":memory:":
        return None
    file = os.path.realpath(database)
    path = Path(f"{file}.lock")
    try:
        lock = path.open("ab")
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreUnavailable(
            f"another worker uses {file}: SQLite serves one process. Stop the other one, give "
            "this one another DATABASE_URL, or use PostgreSQL for several"
        ) from error
    return lock
