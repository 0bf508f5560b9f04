"""Writes the manifest of a recording when all its files are settled, and announces it."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from recording_schemas import ErrorInfo
from worker.archive.errors import ArchiveError, StorageRefused, StorageUnavailable
from worker.archive.folder_mark import FolderMark
from worker.archive.manifest import compose_manifest
from worker.archive.pauses import pause_after
from worker.archive.storage.storage import ArchiveStorage
from worker.archive.threads import in_thread
from worker.domain.archive import REFUSALS_BEFORE_EVENT, RecordingArchive
from worker.domain.archive_keys import KeyTemplate
from worker.domain.errors import ApiError, Refused
from worker.domain.snapshot import Participant
from worker.store.archive_manifests import ManifestPostponement, ManifestTask
from worker.store.archive_queue import encoded
from worker.store.archive_results import ManifestRefusal, ManifestResult
from worker.store.archive_store import ArchiveStore

CONTENT_TYPE = "application/json"

MAX_UNREAD_ATTEMPTS: Final = 150
"""If the participants cannot be read this often, in about a day, the manifest is written
without."""

MAX_REFUSED_ATTEMPTS: Final = 5
"""After this many such answers the API has no such session. One wrong answer must not leave
people out."""

ReadParticipants = Callable[[str, str], Awaitable[tuple[Participant, ...]]]
"""Reads all stays in a session of an app. Raises ApiError."""


class ManifestWriter:
    """Writes manifests that `owner` has taken. `longest_pause` is in seconds."""

    def __init__(
        self,
        store: ArchiveStore,
        storage: ArchiveStorage,
        key: KeyTemplate,
        folder: FolderMark,
        *,
        owner: str,
        read_participants: ReadParticipants,
        longest_pause: float,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._storage = storage
        self._key = key
        self._folder = folder
        self._owner = owner
        self._read_participants = read_participants
        self._longest_pause = longest_pause
        self._now = now

    async def attempt(self, task: ManifestTask) -> bool:
        """Write the manifest and commit its event, or the time of the next attempt.

        Returns whether the storage answered, False if it was not asked. Raises StorageUnavailable
        after the manifest was given back, and StoreUnavailable.
        """
        archive = await self._store.read(task.recording_id)
        if archive is None:
            return False  # the recording was removed meanwhile, and its archive with it
        try:
            url = await self._write(await self._with_participants(archive, task.attempts))
        except (ArchiveError, ApiError) as error:
            await self._postpone(task, error)
            if isinstance(error, StorageUnavailable):
                raise
            return isinstance(error, StorageRefused)
        copies = tuple(file.archived for file in archive.files if file.archived is not None)
        is_ours = await self._store.manifest_done(
            ManifestResult(
                recording_id=task.recording_id,
                owner=self._owner,
                changes=task.changes,
                manifest_url=url,
                copies=copies,
                now=self._now(),
            )
        )
        if is_ours:
            structlog.get_logger().info(
                "recording_archived",
                app=task.app,
                recording_id=task.recording_id,
                manifest_url=url,
                files=len(copies),
                bytes=sum(copy.size_bytes for copy in copies),
            )
        return True

    async def _write(self, archive: RecordingArchive) -> str:
        recording = archive.recording
        key = self._key.render(app=recording.app, file=recording, started=recording.started_time)
        # A meeting of thousands takes seconds.
        body = await in_thread(_composed, archive)
        await self._folder.check()
        try:
            await self._storage.put(key, body, CONTENT_TYPE)
        except StorageRefused as refusal:
            await self._compare_kept(key, body, refusal)
        await self._folder.check()
        return self._storage.url_of(key)

    async def _compare_kept(self, key: str, body: bytes, refusal: StorageRefused) -> None:
        """Raise the refusal, unless the storage has this manifest from an earlier attempt."""
        kept = bytearray()
        try:
            if await self._storage.head(key) == len(body):
                async for block in self._storage.read(key):
                    kept += block
        except StorageRefused:
            raise refusal from None
        if kept != body:
            raise refusal

    async def _with_participants(
        self, archive: RecordingArchive, attempts: int
    ) -> RecordingArchive:
        """The archive with the stays in the session, which are read only now for a composite."""
        recording = archive.recording
        if archive.participants is not None or recording.session_id is None:
            return archive
        try:
            participants = await self._read_participants(recording.app, recording.session_id)
        except ApiError as error:
            is_refused = isinstance(error, Refused)
            if attempts < (MAX_REFUSED_ATTEMPTS if is_refused else MAX_UNREAD_ATTEMPTS):
                raise
            return archive
        return msgspec.structs.replace(archive, participants=participants)

    async def _postpone(self, task: ManifestTask, error: ArchiveError | ApiError) -> None:
        due_at = self._now() + pause_after(task.attempts, self._longest_pause)
        structlog.get_logger().warning(
            "manifest_delayed",
            app=task.app,
            recording_id=task.recording_id,
            code=error.code,
            reason=error.message,
            attempts=task.attempts,
        )
        is_new = task.attempts == REFUSALS_BEFORE_EVENT or not task.was_refused
        if isinstance(error, StorageRefused) and task.attempts >= REFUSALS_BEFORE_EVENT and is_new:
            refusal = ManifestRefusal(
                recording_id=task.recording_id,
                owner=self._owner,
                attempts=task.attempts,
                error=ErrorInfo(code=error.code, message=error.message),
                now=self._now(),
                due_at=due_at,
            )
            await self._store.manifest_refused(refusal)
            return
        await self._store.postpone_manifest(
            ManifestPostponement(
                recording_id=task.recording_id,
                owner=self._owner,
                due_at=due_at,
                error=encoded(error.code, error.message),
            )
        )


def _composed(archive: RecordingArchive) -> bytes:
    return msgspec.json.format(msgspec.json.encode(compose_manifest(archive)), indent=2)
