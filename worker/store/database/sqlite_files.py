"""Notices that SQLite's files were removed or replaced while the worker has them open.

The worker could continue with its open files, but no other process finds them. Everything that is
committed there would be lost when the process ends. Therefore every commit is followed by a check
of the paths, which takes some microseconds. A commit to removed files counts as failed.

- **The database is gone.** Its content exists only as long as this process. It is saved next to the
  path, and the worker waits: nothing is committed until the file is back.
- **Another database is there.** The worker must end. The next one opens the new file.
- **Only the log, its index or the lock is gone.** The worker must end too. SQLite then writes the
  log back into the database, so nothing is lost.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Final, Self

import structlog

from worker.domain.errors import StoreUnavailable

PRIVATE_MODE: Final = 0o600
"""The mode of SQLite's files and of the lock: their owner alone may read and write them."""

BESIDE_DATABASE: Final = ("-wal", "-shm", ".lock")
"""The files next to a database in use: its log, the index of the log, and the lock of workers."""

Identity = tuple[int, int]
"""Device and inode. Another file at the same path has another identity."""


class FilesLost(StoreUnavailable):
    """SQLite's open files are not those at their paths."""


class SqliteFiles:
    """The files of an open database. Create it before SQLite opens the file.

    `path` may be a link. `must_end` says that only a new process can continue. Used in the store's
    thread.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        """SQLite's other files are in the folder of the real file."""
        self._known = {name: _identity(name) for name in (path, self._path)}
        self._lost: list[str] = []
        self._saved = ""
        self._advice: str | None = None
        self.must_end = False

    @classmethod
    def of(cls, database: str | None) -> Self | None:
        """The files of a database of SQLite; None for one that is in memory."""
        if not database or database == ":memory:" or database.startswith("file:"):
            return None
        return cls(database)

    def remember(self) -> None:
        """Remember the files next to the database, which are open now."""
        for path in (self._path + suffix for suffix in BESIDE_DATABASE):
            if identity := _identity(path):
                self._known[path] = identity

    @property
    def are_lost(self) -> bool:
        """Whether the last check found other files than ours."""
        return self._advice is not None

    def check(self) -> None:
        """Raise FilesLost if a path has another file than the one that is open, or none.

        Raises StoreUnavailable if a path cannot be looked at.
        """
        self._lost = [path for path, known in self._known.items() if _identity(path) != known]
        if self._lost or self.must_end:
            raise FilesLost
        if self._advice is not None:
            self._advice = None
            structlog.get_logger().info("store_files_back", path=self._path)

    def explain(self, connection: sqlite3.Connection) -> FilesLost:
        """Save the content of a lost database. Returns the error that describes the loss and
        what to do."""
        is_new = self._advice is None
        found = _identity(self._path)
        if found == self._known[self._path]:
            self.must_end, advice = True, self._advice_for_others()
        else:
            self._save(connection)
            self.must_end = self.must_end or found is not None
            if self._saved or self.must_end:
                self._remove_log()
            advice = self._advice_for_replaced() if self.must_end else self._advice_for_removed()
        self._advice = advice
        if is_new:
            structlog.get_logger().error("store_files_lost", path=self._path, reason=advice)
        return FilesLost(advice)

    def _advice_for_removed(self) -> str:
        if self._saved:
            return (
                f"{self._path} was removed while the worker has it open. Its content was saved as "
                f"{self._saved}: move that to {self._path}, and the worker restarts with it"
            )
        return (
            f"{self._path} was removed while the worker has it open, and its content could not be "
            "saved: put the same file back. If the worker ends, the content is lost"
        )

    def _advice_for_replaced(self) -> str:
        saved = f". The former content was saved as {self._saved}" if self._saved else ""
        return (
            f"{self._path} was replaced while the worker has it open: the worker ends, and opens "
            f"the new file when it is started again{saved}"
        )

    def _advice_for_others(self) -> str:
        return (
            f"{', '.join(self._lost)} was removed or replaced while the worker has it open: the "
            "worker ends, and opens what DATABASE_URL names when it is started again"
        )

    def _save(self, connection: sqlite3.Connection) -> None:
        """Try once to save the content of the open files."""
        if self._advice is not None:
            return
        path = f"{self._path}.saved-{time.time_ns()}"
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
            connection.execute("VACUUM INTO ?", (path,))
        except (OSError, sqlite3.Error) as error:
            structlog.get_logger().error("store_files_not_saved", path=path, reason=str(error))
            with contextlib.suppress(OSError):
                Path(path).unlink(missing_ok=True)
            return
        self._saved = path

    def _remove_log(self) -> None:
        """Remove our log. SQLite would write it into the next database at the path."""
        for path in (f"{self._path}-wal", f"{self._path}-shm"):
            with contextlib.suppress(OSError, StoreUnavailable):
                if _identity(path) == self._known.get(path):
                    Path(path).unlink(missing_ok=True)


def _identity(path: str) -> Identity | None:
    """The file at the path; None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path would cost as much as the look itself
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be looked at: {error.strerror}") from error
    return found.st_dev, found.st_ino
