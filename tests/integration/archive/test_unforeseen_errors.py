"""An error that nobody foresaw costs one attempt at one file. The worker around it goes on."""

import asyncio
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.test_store_history import seen
from tests.integration.archive.file_source import FileSource, Turn
from worker.aio import cancel_all
from worker.archive.assembly import build_archiver
from worker.archive.storage import ArchiveStorage
from worker.domain.archive_keys import KeyTemplate
from worker.domain.snapshot import Participant
from worker.domain.times import utc
from worker.domain.track_files import TrackFile
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.settings.archive import ArchiveSettings
from worker.settings.proxies import NO_PROXIES
from worker.store.store import Store


async def end(store: Store, recording_id: str, url: str) -> None:
    """The recording has ended with one file at this URL."""
    file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
    ended = seen(
        recording_id, Status.UPLOADED, at=utc(time.time()), files=(file,), files_final=True
    )
    await store.apply([ended])


async def test_an_unforeseen_error_at_one_file_keeps_no_other_from_the_archive(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = await Store.open(sqlite_url, source="test", archives=True)
    asked = asyncio.Event()

    async def read_again(app: str, recording_id: str) -> None:
        del app, recording_id
        asked.set()
        raise RuntimeError("nobody foresaw this")

    async def read_participants(app: str, session_id: str) -> tuple[Participant, ...]:
        del app, session_id
        return ()

    archiver = build_archiver(
        ArchiveSettings(
            archive_url=f"{tmp_path.as_uri()}/archive",
            archive_key=KeyTemplate.parse("{recording_id}/{file_name}"),
            archive_manifest_key=KeyTemplate.parse_manifest("{recording_id}/manifest.json"),
            archive_concurrency=1,
            archive_allow_private_sources=True,
            archive_max_bytes_per_second=None,
            archive_part_bytes=5_242_880,
            archive_max_file_bytes=10**9,
            archive_timeout_seconds=5.0,
            archive_retry_max_seconds=1.0,
        ),
        ArchiveStorage.open(f"{tmp_path.as_uri()}/archive"),
        store,
        owner="me",
        proxies=NO_PROXIES,
        read_again=read_again,
        read_participants=read_participants,
        on_commit=lambda: None,
        metrics=Metrics(CollectorRegistry(), version="1"),
        tracing=Tracing(),
    )
    store.subscribe("archive", archiver.wake)
    async with FileSource(b"bytes", Turn(status=403)) as source:
        await end(store, "r1", source.url)
        running = asyncio.create_task(archiver.run(lambda: False))
        await asyncio.wait_for(asked.wait(), 10)
        await end(store, "r2", source.url)
        manifest = tmp_path / "archive/r2/manifest.json"
        await eventually(manifest.exists, seconds=20, what="the manifest of the other recording")
        assert not running.done()
        await cancel_all([running])
    await store.close()
