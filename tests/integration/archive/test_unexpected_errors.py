"""An unexpected error costs one attempt or one iteration of a loop. The worker continues."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.store.test_pruning import observation
from tests.integration.archive.archive_settings import impatient_archive
from tests.integration.archive.file_source import FileSource, Turn
from worker.aio import cancel_all
from worker.archive.assembly import build_archiver
from worker.archive.storage import ArchiveStorage
from worker.domain.snapshot import Participant
from worker.domain.times import utc
from worker.domain.track_files import TrackFile
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.settings.proxies import NO_PROXIES
from worker.store.store import Store

LONG_AGO = time.time() - 30 * 86_400.0


class BreakableArchive:
    """A running archiver. While `is_broken`, its clock and each read of the API raise an error."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.is_broken = False
        self.breaks = 0
        self.reads = 0
        self._store = store
        self.archiver = build_archiver(
            impatient_archive(folder.as_uri(), concurrency=1),
            ArchiveStorage.open(folder.as_uri()),
            store,
            owner="me",
            proxies=NO_PROXIES,
            read_again=self._read_again,
            read_participants=self._read_participants,
            metrics=Metrics(CollectorRegistry(), version="1"),
            tracing=Tracing(),
            now=self._now,
            sleep=self._sleep,
        )

    def _now(self) -> float:
        if self.is_broken:
            self.breaks += 1
            raise RuntimeError("nobody foresaw this")
        return time.time()

    async def _sleep(self, _: float) -> None:
        await asyncio.sleep(0.01)

    async def _read_again(self, app: str, recording_id: str) -> None:
        del app, recording_id
        self.reads += 1
        raise RuntimeError("nobody foresaw this")

    async def _read_participants(self, app: str, session_id: str) -> tuple[Participant, ...]:
        del app, session_id
        return ()

    async def end(self, recording_id: str, url: str) -> None:
        """End a recording with one file at this URL."""
        file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
        ended = observation(
            recording_id, Status.UPLOADED, at=utc(time.time()), files=(file,), files_final=True
        )
        await self._store.apply([ended])

    async def break_for(self, turns: int) -> None:
        """Let this many calls fail."""
        self.is_broken = True

        def broke() -> bool:
            self.archiver.wake()
            return self.breaks >= turns

        await eventually(broke, seconds=20, description="calls that fail")
        self.is_broken = False

    async def lease_end(self) -> float:
        """When the lease of the only file ends."""
        return await self._store.archive.next_due() or 0.0


@asynccontextmanager
async def archiving(
    database_url: str, folder: Path, *, leads: bool = False
) -> AsyncIterator[BreakableArchive]:
    """A replica that still archives at the end."""
    store = await Store.open(database_url, source="test", archives=True)
    archive = BreakableArchive(store, folder)
    store.subscribe("archive", archive.archiver.wake)
    running = asyncio.create_task(archive.archiver.run(lambda: leads))
    try:
        yield archive
        assert not running.done()
    finally:
        await cancel_all([running])
        await store.close()


async def test_an_unexpected_error_at_one_file_keeps_no_other_from_the_archive(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with (
        archiving(sqlite_url, tmp_path) as archive,
        FileSource(b"bytes", Turn(status=403)) as source,
    ):
        await archive.end("r1", source.url)
        await eventually(lambda: archive.reads, seconds=10, description="a read that fails")
        await archive.end("r2", source.url)
        manifest = tmp_path / "r2/manifest.json"
        await eventually(
            manifest.exists, seconds=20, description="the manifest of the other recording"
        )


async def test_an_unexpected_error_while_the_queue_is_read_does_not_end_the_archive(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with archiving(sqlite_url, tmp_path) as archive, FileSource(b"bytes") as source:
        archive.is_broken = True
        await archive.end("r1", source.url)
        await archive.break_for(3)
        archive.archiver.wake()
        manifest = tmp_path / "r1/manifest.json"
        await eventually(manifest.exists, seconds=20, description="the manifest")


async def test_an_unexpected_error_does_not_end_the_loop_that_extends_leases(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with (
        archiving(sqlite_url, tmp_path) as archive,
        FileSource(bytes(100), Turn(hang_after=50)) as source,
    ):
        await archive.end("r1", source.url)
        await eventually(lambda: source.requests, seconds=10, description="a copy that runs")
        await archive.break_for(5)
        lease = await archive.lease_end()

        async def extended() -> bool:
            return await archive.lease_end() > lease

        await eventually(extended, seconds=10, description="a lease that is extended")


@pytest.mark.parametrize("breaks", [1, 3])
async def test_an_unexpected_error_does_not_end_the_removal_of_abandoned_uploads(
    breaks: int, sqlite_url: str, tmp_path: Path
) -> None:
    async with archiving(sqlite_url, tmp_path, leads=True) as archive:
        await archive.break_for(breaks)
        abandoned = tmp_path / "a.webm#1"
        abandoned.write_bytes(b"half")
        os.utime(abandoned, (LONG_AGO, LONG_AGO))
        await eventually(lambda: not abandoned.exists(), seconds=20, description="the removal")
