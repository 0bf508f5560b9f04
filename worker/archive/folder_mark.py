"""A file in the archive's folder shows that the volume of the folder is mounted.

Without its volume, a mount point is an empty folder of the local disk. Copies would fill that disk,
and would be hidden once the volume is mounted again.

the mark   the database knows the folder   reaction
exists     yes or no                       the folder is used
missing    no, and it exists               its first use: the worker writes the mark
missing    no, and it does not exist       files and manifests wait: only the user creates it
missing    yes                             files and manifests wait

To use a new, empty folder on purpose, write the mark yourself. The worker ignores its content.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from worker.archive.errors import ArchiveError, StorageUnavailable
from worker.archive.storage import ArchiveStorage
from worker.archive.storage.durable_files import sync_to_disk
from worker.archive.storage.open_stores import folder_missing
from worker.archive.storage.storage_errors import translated_errors
from worker.archive.threads import in_thread
from worker.archive.unexpected import log_unexpected
from worker.domain.errors import StoreUnavailable
from worker.store.archive_store import ArchiveStore

MARK: Final = ".recording-archive"

_TEXT: Final = """\
This folder is the archive of recording-worker. While this file is missing, the worker copies
nothing here, because the volume of the folder may not be mounted. Please keep the file.
"""


class FolderMark:
    """The mark of one archive. It does nothing if the archive is not a folder."""

    def __init__(
        self, storage: ArchiveStorage, store: ArchiveStore, *, now: Callable[[], float]
    ) -> None:
        self._folder = storage.folder
        self._store = store
        self._now = now
        self._is_known = False

    async def prepare(self) -> None:
        """Write the mark at the first use, and log if the folder cannot be used."""
        try:
            await self.check()
        except ArchiveError as error:
            structlog.get_logger().error(
                "archive_folder_unusable", code=error.code, reason=error.message
            )
        except StoreUnavailable:
            pass  # readiness reports it, and the first copy checks again
        except Exception as error:  # noqa: BLE001 - see `log_unexpected`
            log_unexpected("archive_folder_failed_unexpectedly", error)

    async def check(self) -> None:
        """Raise StorageUnavailable if the folder is missing, or is known and its mark is missing.

        Also raises the error of writing a new mark, and StoreUnavailable.
        """
        if self._folder is None:
            return
        if not await in_thread(_has_mark, self._folder):
            if self._is_known or await self._store.is_folder_known(str(self._folder)):
                raise _not_mounted(self._folder)
            await in_thread(_write_mark, self._folder)
        if not self._is_known:
            await self._store.remember_folder(str(self._folder), self._now())
            self._is_known = True


def _has_mark(folder: Path) -> bool:
    with translated_errors(f"look for {MARK}"):
        try:
            (folder / MARK).stat()
        except FileNotFoundError:
            return False
        return True


def _write_mark(folder: Path) -> None:
    with translated_errors(f"write {MARK}"):
        if not folder.is_dir():
            raise folder_missing(folder)
        (folder / MARK).write_text(_TEXT)
        # If a power failure lost only the mark, the folder would count as not mounted.
        sync_to_disk(folder, MARK)


def _not_mounted(folder: Path) -> StorageUnavailable:
    message = (
        f"the folder {folder} has no file {MARK}, which it had before. Mount its volume. If this "
        f"is a new folder on purpose, create the file {folder / MARK}"
    )
    return StorageUnavailable("folder_not_mounted", message)
