"""The facade of the archive's tables: the queue of files and manifests, and their results."""

from worker.domain.archive import RecordingArchive
from worker.store import (
    archive_backfill,
    archive_leases,
    archive_manifests,
    archive_queue,
    archive_reading,
    archive_replaced,
    archive_results,
    archive_urls,
)
from worker.store.archive_backfill import (
    BackfillRequest,
    BackfillResult,
    FileCursor,
    RecordingCursor,
    UnqueuedPage,
)
from worker.store.archive_leases import Extension
from worker.store.archive_manifests import ManifestPostponement, ManifestTask
from worker.store.archive_queue import (
    FileTask,
    Postponement,
    TakeRequest,
)
from worker.store.archive_reading import ArchiveDepth
from worker.store.archive_replaced import LateCopy
from worker.store.archive_results import CopyFailure, CopyResult, ManifestRefusal, ManifestResult
from worker.store.archive_urls import SignedUrls
from worker.store.cursors import Cursor, archive_folder_cursor, find_cursor, set_cursor
from worker.store.database.group_commit import GroupCommit


class ArchiveStore:
    """The archive's part of the state store. Every method returns once its change is committed.

    If it raises StoreUnavailable, nothing was committed. `source` is the CloudEvents source.
    """

    def __init__(self, group: GroupCommit, *, source: str) -> None:
        self._group = group
        self._source = source

    # The queue

    async def take_files(self, request: TakeRequest) -> tuple[FileTask, ...]:
        """Take files to copy: the urgent ones, then those that have been due for longest."""
        return await self._group.run(archive_queue.take_files, request)

    async def take_manifests(self, request: TakeRequest) -> tuple[ManifestTask, ...]:
        """Take manifests to write."""
        return await self._group.run(archive_manifests.take_manifests, request)

    async def extend(self, request: Extension) -> None:
        """Extend the leases of this work."""
        await self._group.run(archive_leases.extend, request)

    async def keep_file(
        self, recording_id: str, file_index: int, *, owner: str, until: float
    ) -> bool:
        """Extend the lease of a file. False if another replica has taken it, or may take it."""
        return await self._group.run(
            archive_leases.keep_file, recording_id, file_index, owner, until
        )

    async def find_url(self, recording_id: str, file_index: int) -> str | None:
        """The URL that a file has now; None if there is none."""
        return await self._group.run(archive_urls.find_url, recording_id, file_index)

    async def note_urls(self, urls: SignedUrls) -> None:
        """Give queued files of a recording the URLs that the API shows."""
        await self._group.run(archive_urls.note_urls, urls)

    async def postpone_file(self, request: Postponement) -> bool:
        """Return a file to the queue for a later attempt.

        False if another replica has it, or if it was queued again meanwhile.
        """
        return await self._group.run(archive_queue.postpone_file, request)

    async def postpone_manifest(self, request: ManifestPostponement) -> None:
        """Return a manifest to the queue for a later attempt."""
        await self._group.run(archive_manifests.postpone_manifest, request)

    async def next_due(self) -> float | None:
        """When the next file or manifest is due, in seconds since the epoch; None if there is
        none."""
        return await self._group.run(archive_leases.next_due)

    async def free_owned(self, owner: str) -> None:
        """Make due at once the work of an owner that certainly does not work any more."""
        await self._group.run(archive_leases.free_owned, owner)

    async def find_unqueued(self, after: FileCursor | RecordingCursor) -> UnqueuedPage:
        """Recordings whose files were announced while no archive was on, a page at a time."""
        if isinstance(after, RecordingCursor):
            return await self._group.run(archive_backfill.find_unqueued_of, after)
        return await self._group.run(archive_backfill.find_unqueued, after)

    async def queue_announced(self, request: BackfillRequest) -> BackfillResult:
        """Queue announced files of at most `MAX_RECORDINGS` recordings."""
        return await self._group.run(archive_backfill.queue_announced, request)

    # Folders

    async def is_folder_known(self, folder: str) -> bool:
        """Whether any replica has used this folder as the archive."""
        name = archive_folder_cursor(folder)
        return await self._group.run(find_cursor, name) is not None

    async def remember_folder(self, folder: str, now: float) -> None:
        """Note that this folder is used as the archive, at `now`, in seconds since the epoch."""
        cursor = Cursor(name=archive_folder_cursor(folder), at=now)
        await self._group.run(set_cursor, cursor)

    # Results

    async def copy_done(self, result: CopyResult) -> bool:
        """Commit a copy with its event. False if another replica has the file."""
        return await self._group.run(archive_results.copy_done, result, self._source)

    async def note_late_copy(self, late: LateCopy) -> None:
        """Queue a file again if a replica that had lost it may have written its object."""
        await self._group.run(archive_replaced.note_late_copy, late)

    async def copy_failed(self, failure: CopyFailure) -> bool:
        """Commit that a file was given up or is refused, with its event."""
        return await self._group.run(archive_results.copy_failed, failure, self._source)

    async def manifest_done(self, result: ManifestResult) -> bool:
        """Commit a manifest with its event. False if it must be written again."""
        return await self._group.run(archive_results.manifest_done, result, self._source)

    async def manifest_refused(self, refusal: ManifestRefusal) -> bool:
        """Commit that the storage refuses a manifest, with its event."""
        return await self._group.run(archive_results.manifest_refused, refusal, self._source)

    # Reading

    async def read(self, recording_id: str) -> RecordingArchive | None:
        """Everything about the archive of a recording; None if the recording is not known."""
        return await self._group.run(archive_reading.read_archive, recording_id)

    async def depth(self) -> ArchiveDepth:
        """The size of the queue."""
        return await self._group.run(archive_reading.measure)
