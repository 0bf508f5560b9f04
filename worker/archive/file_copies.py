"""One attempt to copy a file: copy it, decide by the class of an error, and commit the result.

error                what follows
SourceDenied         read the recording again for a new URL. If there is one: `denials.py` decides.
                     If there is none: give up when it stays so after the expiry, else later
SourceDoubtful       read the recording again for a new URL; later; give up when the answer stays so
                     (`denials.py`)
SourceUnavailable    later; when the URL has expired, as SourceDenied
CopyDiffers          later
FileLeaseLost        nothing: another replica may have the file, and its result counts
StorageRefused       later; the fifth time in a row, an event says so
StorageUnavailable   later; the archiver takes nothing else meanwhile
"""

from collections.abc import Awaitable, Callable

import structlog

from recording_schemas import ErrorInfo
from worker.archive.abandoned_uploads import AbandonedUploads
from worker.archive.copier import Copier
from worker.archive.denials import (
    MAX_DENIALS,
    MAX_DENIED_PAUSE_SECONDS,
    count_denials,
    is_confirmed,
    known_doubts,
    pause_in_doubt,
    pause_with_new_url,
)
from worker.archive.errors import (
    ArchiveError,
    CopyDiffers,
    SourceDenied,
    SourceDoubtful,
    SourceUnavailable,
    StorageRefused,
    StorageUnavailable,
)
from worker.archive.file_lease import CopyLease
from worker.archive.folder_mark import FolderMark
from worker.archive.pauses import pause_after
from worker.domain.archive import REFUSALS_BEFORE_EVENT, CopiedFile
from worker.domain.archive_keys import KeyTemplate
from worker.domain.errors import ApiError, Refused
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.store.archive_queue import FileTask, Postponement, encoded
from worker.store.archive_results import CopyFailure, CopyResult
from worker.store.archive_store import ArchiveStore

ReadAgain = Callable[[str, str], Awaitable[None]]
"""Reads a recording of an app again, and applies the answer. Raises ApiError."""


class FileCopies:
    """Copies files that `owner` has taken. `longest_pause` is in seconds."""

    def __init__(
        self,
        store: ArchiveStore,
        copier: Copier,
        key: KeyTemplate,
        uploads: AbandonedUploads,
        folder: FolderMark,
        *,
        owner: str,
        read_again: ReadAgain,
        longest_pause: float,
        now: Callable[[], float],
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._store = store
        self._copier = copier
        self._key = key
        self._uploads = uploads
        self._folder = folder
        self._owner = owner
        self._read_again = read_again
        self._longest_pause = longest_pause
        self._now = now
        self._metrics = metrics
        self._tracing = tracing

    async def attempt(self, task: FileTask) -> bool:
        """Copy the file, and commit the result or the time of the next attempt.

        Returns whether the storage answered, False if it was not asked. Raises StorageUnavailable
        after the file was given back, and StoreUnavailable.
        """
        began = self._now()
        lease = CopyLease(self._store, task, owner=self._owner, now=self._now)
        with self._tracing.recording_span("archive file", task.recording_id, task.trace) as span:
            try:
                copied = await self._copy(task, lease)
            except ArchiveError as error:
                span.set_error(error.code)
                await self._after(task, error, lease)
                if isinstance(error, StorageUnavailable):
                    raise
                return isinstance(error, StorageRefused | CopyDiffers)
            await self._done(task, copied, began)
            return True

    async def _copy(self, task: FileTask, lease: CopyLease) -> CopiedFile:
        if task.download_url is None:
            raise SourceDenied("no_url", "the API has given no URL for this file yet")
        await self._folder.check()
        key = self._key.render(app=task.app, file=task.file, started=task.started_time)
        # The process of an earlier attempt may have died during it.
        if task.attempts > 1 or task.round > 1:
            await lease.confirm()
            await self._uploads.remove_of(key)
        copied = await self._copier.copy(
            task.download_url,
            key,
            file_name=task.file.file_name,
            media_kind=task.file.media_kind,
            confirm=lease.confirm_write,
        )
        await self._folder.check()  # its volume may have disappeared during the download
        return copied

    async def _done(self, task: FileTask, copied: CopiedFile, began: float) -> None:
        now = self._now()
        is_ours = await self._store.copy_done(
            CopyResult(
                recording_id=task.recording_id,
                file_index=task.file_index,
                round=task.round,
                owner=self._owner,
                copied=copied,
                download_url=task.download_url,
                now=now,
            )
        )
        if not is_ours:
            return
        self._metrics.record_archived(copied.size_bytes, now - began)
        structlog.get_logger().info(
            "file_archived",
            **_facts(task),
            archive_url=copied.archive_url,
            bytes=copied.size_bytes,
            seconds=round(now - began, 3),
        )

    # After a failed attempt

    async def _after(self, task: FileTask, error: ArchiveError, lease: CopyLease) -> None:
        if await lease.is_lost(error):
            structlog.get_logger().warning("file_copy_dropped", **_facts(task), code=error.code)
            return
        self._metrics.record_archive_failure(error.code)
        await self._decide(task, error)

    async def _decide(self, task: FileTask, error: ArchiveError) -> None:
        match error:
            case SourceDenied():
                await self._after_denial(task, error)
            case SourceUnavailable() if task.expires_at <= self._now():
                await self._after_denial(task, error)
            case SourceDoubtful():
                await self._after_doubt(task, error)
            case StorageRefused():
                await self._after_refusal(task, error)
            case _:
                await self._postpone(task, error, self._pause(task))

    async def _after_denial(self, task: FileTask, error: SourceDenied | SourceUnavailable) -> None:
        try:
            await self._read_again(task.app, task.recording_id)
        except Refused:
            pass  # the API no longer has this recording, so it gives no URL
        except ApiError as unread:
            await self._postpone(task, unread, self._pause(task), denials=task.denials)
            return
        if await self._store.find_url(task.recording_id, task.file_index) != task.download_url:
            await self._with_new_url(task, error)
        elif task.expires_at <= self._now():
            text = f"its URL has expired, and the API gives no new one ({error.message})"
            await self._in_doubt(task, SourceDoubtful("url_expired", text))
        else:
            pause = pause_after(task.attempts, MAX_DENIED_PAUSE_SECONDS)
            await self._postpone(task, error, pause, denials=task.denials)

    async def _with_new_url(self, task: FileTask, error: SourceDenied | SourceUnavailable) -> None:
        denials = count_denials(task)
        if denials < MAX_DENIALS:
            await self._postpone(task, error, pause_with_new_url(task, denials), denials=denials)
            return
        text = f"the API gives new URLs, but each is denied ({error.message})"
        await self._give_up(task, "url_denied", text)

    async def _after_doubt(self, task: FileTask, error: SourceDoubtful) -> None:
        try:
            await self._read_again(task.app, task.recording_id)
        except Refused:
            pass  # the API no longer has this recording, so its URL stays
        except ApiError:
            # Without a new URL, this answer proves no more than the previous ones.
            await self._in_doubt(task, error, proves=0)
            return
        await self._in_doubt(task, error)

    async def _in_doubt(self, task: FileTask, error: SourceDoubtful, *, proves: int = 1) -> None:
        doubts = known_doubts(task, error.code, error.message) + proves
        if is_confirmed(error.code, doubts):
            await self._give_up(task, error.code, error.message)
            return
        pause = pause_in_doubt(task, error.code, self._longest_pause)
        await self._postpone(task, error, pause, denials=doubts)

    async def _after_refusal(self, task: FileTask, error: StorageRefused) -> None:
        refusals = task.refusals + 1
        if refusals != REFUSALS_BEFORE_EVENT:
            await self._postpone(task, error, self._pause(task), refusals=refusals)
            return
        due_at = self._now() + self._pause(task)
        await self._fail(task, error.code, error.message, due_at=due_at, refusals=refusals)

    async def _give_up(self, task: FileTask, code: str, message: str) -> None:
        await self._fail(task, code, message, due_at=None, refusals=task.refusals)

    async def _fail(
        self, task: FileTask, code: str, message: str, *, due_at: float | None, refusals: int
    ) -> None:
        """Commit a failure with an event. With `due_at`, the file is tried again then."""
        failure = CopyFailure(
            recording_id=task.recording_id,
            file_index=task.file_index,
            round=task.round,
            owner=self._owner,
            error=ErrorInfo(code=code, message=message),
            now=self._now(),
            due_at=due_at,
            refusals=refusals,
        )
        if await self._store.copy_failed(failure):
            structlog.get_logger().error(
                "file_not_archived",
                **_facts(task),
                code=code,
                reason=message,
                final=due_at is None,
            )

    async def _postpone(
        self,
        task: FileTask,
        error: ArchiveError | ApiError,
        pause: float,
        *,
        refusals: int = 0,
        denials: int = 0,
    ) -> None:
        is_ours = await self._store.postpone_file(
            Postponement(
                recording_id=task.recording_id,
                file_index=task.file_index,
                round=task.round,
                owner=self._owner,
                due_at=self._now() + pause,
                error=encoded(error.code, error.message),
                refusals=refusals,
                denials=denials,
            )
        )
        if is_ours:
            structlog.get_logger().warning(
                "file_archive_delayed",
                **_facts(task),
                code=error.code,
                reason=error.message,
                retry_in_seconds=round(pause, 3),
            )

    def _pause(self, task: FileTask) -> float:
        return pause_after(task.attempts, self._longest_pause)


def _facts(task: FileTask) -> dict[str, object]:
    return {
        "app": task.app,
        "recording_id": task.recording_id,
        "file_name": task.file.file_name,
        "attempts": task.attempts,
    }
