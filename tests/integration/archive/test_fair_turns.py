"""Urgent files whose source hangs alternate with files that have not been tried."""

import socket
import time
from datetime import timedelta
from pathlib import Path

import msgspec

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.store.test_pruning import observation
from tests.integration.archive.archive_settings import impatient_archive
from tests.integration.archive.file_source import FileSource
from tests.integration.archive.wired_archiver import running, wired_archiver
from tests.state_queries import read_state
from worker.archive.storage import ArchiveStorage
from worker.domain.times import utc
from worker.domain.track_files import TrackFile
from worker.store.admin.archived_files import EntriesFilter, find_entries
from worker.store.store import Store

HANGING = 20


async def end(store: Store, recording_id: str, url: str, *, age: timedelta, files: int) -> None:
    """End a recording this long ago. Its URLs expire in an hour."""
    at = utc(time.time()) - age
    tracks = tuple(
        TrackFile(file_name=f"{n}.webm", media_kind="audio", user_id="u", download_url=url)
        for n in range(files)
    )
    ended = observation(recording_id, Status.UPLOADED, at=at, files=tracks, files_final=True)
    expiry = utc(time.time()) + timedelta(hours=1)
    snapshot = msgspec.structs.replace(ended.snapshot, download_url_expiry=expiry)
    await store.apply([msgspec.structs.replace(ended, snapshot=snapshot)])


async def test_urgent_files_of_a_source_that_hangs_keep_no_new_file_waiting(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await Store.open(sqlite_url, source="test", archives=True)
    settings = msgspec.structs.replace(
        impatient_archive(tmp_path.as_uri(), concurrency=1), archive_timeout_seconds=0.1
    )
    archiver = wired_archiver(settings, ArchiveStorage.open(tmp_path.as_uri()), store)
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # accepts no connection
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/"
        await end(store, "urgent", url, age=timedelta(hours=2), files=HANGING)

        def tried() -> bool:
            entries = read_state(sqlite_url, find_entries, EntriesFilter(limit=HANGING))
            return all(entry.attempts > 0 for entry in entries)

        async with running(archiver, store):
            await eventually(tried, seconds=60, description="an attempt at each")
            await archive_new_file(store, tmp_path)
    await store.close()


async def archive_new_file(store: Store, folder: Path) -> None:
    async with FileSource(b"media") as source:
        await end(store, "new", source.url, age=timedelta(0), files=1)
        copied = (folder / "new/0.webm").exists
        await eventually(copied, seconds=15, description="a copy of the new file")
