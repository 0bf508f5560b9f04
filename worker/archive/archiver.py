"""Takes due work from the archive's queue, and keeps it until it is done.

Every replica runs one archiver. While the storage does not answer, it starts one attempt at a time,
at growing intervals, so that the database and the storage get no useless requests.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from worker.aio import wait_until_set
from worker.archive.abandoned_uploads import AbandonedUploads
from worker.archive.backfill import Backfill
from worker.archive.errors import StorageUnavailable
from worker.archive.file_copies import FileCopies
from worker.archive.file_lease import LEASE_SECONDS
from worker.archive.folder_mark import FolderMark
from worker.archive.manifest_writer import ManifestWriter
from worker.archive.pauses import pause_after
from worker.archive.unexpected import log_unexpected
from worker.domain.errors import StoreUnavailable
from worker.store.archive_leases import Extension
from worker.store.archive_manifests import ManifestTask
from worker.store.archive_queue import FileTask, TakeRequest
from worker.store.archive_store import ArchiveStore

EXTEND_INTERVAL_SECONDS: Final = 20.0
POLL_INTERVAL_SECONDS: Final = 5.0
"""How often to check the queue, because a notification may be lost."""

FAIR_TURN: Final = 4
"""One turn in this many begins with files that were never tried, followed by those that have
been due for longest. Otherwise urgent files of a source that hangs would take all places."""

MAX_MANIFESTS: Final = 2
"""How many manifests a replica writes at the same time."""

MAX_STORAGE_PAUSE_SECONDS: Final = 30.0
"""The longest pause between two attempts while the storage does not answer, and the longest wait
for an attempt that does not end."""


class Archiver:
    """Copies files and writes manifests for `owner`, at most `concurrency` files at once."""

    def __init__(
        self,
        store: ArchiveStore,
        files: FileCopies,
        manifests: ManifestWriter,
        uploads: AbandonedUploads,
        backfill: Backfill,
        folder: FolderMark,
        *,
        owner: str,
        concurrency: int,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._store = store
        self._files = files
        self._manifests = manifests
        self._uploads = uploads
        self._backfill = backfill
        self._folder = folder
        self._owner = owner
        self._concurrency = concurrency
        self._now = now
        self._sleep = sleep
        self._wakeup = asyncio.Event()
        self._copying: set[tuple[str, int]] = set()
        self._writing: set[str] = set()
        self._turns = 0
        self._storage_failures = 0
        self._storage_asked_again_at = float("-inf")

    def wake(self) -> None:
        """Check the queue now."""
        self._wakeup.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Archive, forever. When cancelled, give unfinished work back.

        The leader also removes the parts of abandoned uploads, and queues files that were announced
        while no archive was on.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_leases(), name="archive leases")
                tasks.create_task(self._folder.prepare(), name="archive folder")
                tasks.create_task(self._uploads.run(is_leader), name="abandoned uploads")
                tasks.create_task(self._backfill.run(is_leader), name="archive backfill")
                while True:
                    self._wakeup.clear()
                    await wait_until_set(self._wakeup, await self._start_due(tasks))
        finally:
            await self._release_work()

    async def _start_due(self, tasks: asyncio.TaskGroup) -> float:
        """Start all due work for which there is a place. Returns in how many seconds to check
        again."""
        pause = self._storage_asked_again_at - time.monotonic()
        if pause > 0:
            return pause
        try:
            await self._start_manifests(tasks)
            await self._start_copies(tasks)
            return self._seconds_until(await self._store.next_due())
        except StoreUnavailable:
            pass  # readiness reports it
        except Exception as error:  # noqa: BLE001 - see `log_unexpected`
            log_unexpected("archive_queue_failed_unexpectedly", error)
        return POLL_INTERVAL_SECONDS

    def _seconds_until(self, due_at: float | None) -> float:
        # Due work without a place is started when other work ends.
        soonest = POLL_INTERVAL_SECONDS if due_at is None else due_at - self._now()
        is_waiting = soonest <= 0
        return POLL_INTERVAL_SECONDS if is_waiting else min(soonest, POLL_INTERVAL_SECONDS)

    async def _start_manifests(self, tasks: asyncio.TaskGroup) -> None:
        if room := self._room(MAX_MANIFESTS, len(self._writing)):
            for task in await self._store.take_manifests(self._request(room)):
                self._writing.add(task.recording_id)
                self._note_start()
                work = self._write_manifest(task)
                tasks.create_task(work, name=f"manifest {task.recording_id}")

    async def _start_copies(self, tasks: asyncio.TaskGroup) -> None:
        if room := self._room(self._concurrency, len(self._copying)):
            self._turns += 1
            untried_first = self._turns % FAIR_TURN == 0
            for task in await self._store.take_files(
                self._request(room, untried_first=untried_first)
            ):
                key = (task.recording_id, task.file_index)
                # Its lease ended while the database was unavailable. The running copy has it again.
                if key not in self._copying:
                    self._copying.add(key)
                    self._note_start()
                    tasks.create_task(self._copy_file(task), name=f"copy {key[0]}/{key[1]}")

    def _room(self, limit: int, running: int) -> int:
        """How many more may be started. After a failure of the storage only one, and not yet."""
        room = limit - running
        if not self._storage_failures:
            return room
        return min(room, 1) if time.monotonic() >= self._storage_asked_again_at else 0

    def _note_start(self) -> None:
        """Start nothing else for a while if the storage did not answer. It may hang."""
        if self._storage_failures:
            self._storage_asked_again_at = time.monotonic() + MAX_STORAGE_PAUSE_SECONDS

    def _request(self, limit: int, *, untried_first: bool = False) -> TakeRequest:
        now = self._now()
        return TakeRequest(
            owner=self._owner,
            now=now,
            until=now + LEASE_SECONDS,
            limit=limit,
            untried_first=untried_first,
        )

    # Work

    async def _copy_file(self, task: FileTask) -> None:
        try:
            await self._watch_storage(self._files.attempt(task))
        finally:
            self._copying.discard((task.recording_id, task.file_index))
            self.wake()

    async def _write_manifest(self, task: ManifestTask) -> None:
        try:
            await self._watch_storage(self._manifests.attempt(task))
        finally:
            self._writing.discard(task.recording_id)
            self.wake()

    async def _watch_storage(self, work: Awaitable[bool]) -> None:
        """Do the work, and note whether the storage answered.

        A failure before the first request to the storage, such as a failed download, proves nothing
        about it.

        Without the database the result is lost, and the work is done again when its lease has
        ended. The same is true after an unexpected error: external data may cause it each time, so
        it must not end the worker.
        """
        try:
            has_answered = await work
        except StorageUnavailable:
            self._storage_failures += 1
            pause = pause_after(self._storage_failures, MAX_STORAGE_PAUSE_SECONDS)
            self._storage_asked_again_at = time.monotonic() + pause
        except StoreUnavailable as error:
            structlog.get_logger().warning("archive_interrupted", reason=str(error))
        except Exception as error:  # noqa: BLE001 - see above
            log_unexpected("archive_attempt_failed_unexpectedly", error)
        else:
            if has_answered:
                self._storage_failures = 0
            self._storage_asked_again_at = float("-inf")

    # Leases

    async def _keep_leases(self) -> None:
        while True:
            await self._sleep(EXTEND_INTERVAL_SECONDS)
            try:
                await self._extend_leases()
            except StoreUnavailable:
                pass  # readiness reports it
            except Exception as error:  # noqa: BLE001 - see `log_unexpected`
                log_unexpected("archive_leases_failed_unexpectedly", error)

    async def _extend_leases(self) -> None:
        if self._copying or self._writing:
            await self._store.extend(
                Extension(
                    owner=self._owner,
                    until=self._now() + LEASE_SECONDS,
                    files=tuple(self._copying),
                    manifests=tuple(self._writing),
                )
            )

    async def _release_work(self) -> None:
        """Let another replica take this replica's unfinished work at once."""
        with suppress(StoreUnavailable):
            await self._store.free_owned(self._owner)
