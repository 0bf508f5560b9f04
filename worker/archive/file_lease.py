"""The lease of a file during one attempt to copy it, and the proof that this replica still has it.

Without it, a replica that was frozen might replace the copy that another one has announced.
"""

from collections.abc import Callable
from typing import Final

from worker.archive.errors import ArchiveError, FileLeaseLost
from worker.store.archive_queue import FileTask
from worker.store.archive_replaced import LateCopy
from worker.store.archive_store import ArchiveStore

LEASE_SECONDS: Final = 60.0


class CopyLease:
    """The lease of `owner` on the file of a task. Every method may raise StoreUnavailable."""

    def __init__(
        self, store: ArchiveStore, task: FileTask, *, owner: str, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._task = task
        self._owner = owner
        self._now = now
        self._may_be_written = False

    async def confirm(self) -> None:
        """Extend the lease for the longest time of the next step. Raises FileLeaseLost."""
        is_ours = await self._store.keep_file(
            self._task.recording_id,
            self._task.file_index,
            owner=self._owner,
            until=self._now() + LEASE_SECONDS,
        )
        if not is_ours:
            raise FileLeaseLost("lease_lost", "another replica may have the file")

    async def confirm_write(self) -> None:
        """As `confirm`, right before the object is written."""
        await self.confirm()
        self._may_be_written = True

    async def is_lost(self, error: ArchiveError) -> bool:
        """Whether this replica has lost the file after an attempt ended with this error.

        If the object may have been written anyway, the file is copied again.
        """
        if not isinstance(error, FileLeaseLost):
            try:
                await self.confirm()
            except FileLeaseLost:
                await self._note_late_copy()
            else:
                return False
        return True

    async def _note_late_copy(self) -> None:
        if self._may_be_written:
            late = LateCopy(
                recording_id=self._task.recording_id,
                file_index=self._task.file_index,
                download_url=self._task.download_url,
                copied=None,
                now=self._now(),
            )
            await self._store.note_late_copy(late)
