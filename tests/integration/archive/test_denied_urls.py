"""Files that cannot be had: new URLs are denied too, or there is none after the expiry."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from recording_schemas import Status
from tests.contract.test_store_history import NOW, seen
from tests.integration.archive.file_source import FileSource, Turn
from worker.archive.abandoned_uploads import AbandonedUploads
from worker.archive.copier import Copier
from worker.archive.download import Download
from worker.archive.file_copies import FileCopies
from worker.archive.storage import ArchiveStorage
from worker.domain.archive_keys import KeyTemplate
from worker.domain.track_files import TrackFile
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.store.archive_queue import TakeRequest
from worker.store.store import Store

DAY = 86_400.0


class OneFileArchive:
    """The archive of a recording with one file. Each read of it may give a new URL."""

    def __init__(self, store: Store, source_url: str, folder: Path, *, url_life: float) -> None:
        self.now = NOW.timestamp()
        self.signs_anew = True
        self._store = store
        self._source_url = source_url
        self._url_life = url_life
        self._numbers = itertools.count()
        storage = ArchiveStorage.open(folder.as_uri())
        self._copies = FileCopies(
            store.archive,
            Copier(
                storage,
                Download(timeout_seconds=5, allow_private_sources=True),
                part_bytes=5_242_880,
                max_file_bytes=10**9,
            ),
            KeyTemplate.parse("{recording_id}/{file_name}"),
            AbandonedUploads(storage, now=self._now),
            owner="me",
            read_again=self.read,
            longest_pause=600.0,
            now=self._now,
            on_commit=lambda: None,
            metrics=Metrics(CollectorRegistry(), version="1"),
            tracing=Tracing(),
        )

    def _now(self) -> float:
        return self.now

    async def read(self, app: str, recording_id: str) -> None:
        """Apply the recording as the API shows it. It takes a second."""
        del app
        self.now += 1
        if not self.signs_anew:
            return
        at = NOW + timedelta(seconds=self.now - NOW.timestamp())
        url = f"{self._source_url}&number={next(self._numbers)}"
        file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
        observation = seen(
            recording_id,
            Status.UPLOADED,
            at=at,
            files=(file,),
            files_final=True,
            renews_urls=True,
        )
        expiry = at + timedelta(seconds=self._url_life)
        snapshot = msgspec.structs.replace(observation.snapshot, download_url_expiry=expiry)
        await self._store.apply([msgspec.structs.replace(observation, snapshot=snapshot)])

    async def attempt(self) -> float | None:
        """Copy the file when it is due. Returns for how long it waits then, None: for ever."""
        request = TakeRequest(owner="me", now=self.now, until=self.now + 60, limit=1)
        (task,) = await self._store.archive.take_files(request)
        await self._copies.attempt(task)
        due_at = await self._store.archive.next_due()
        if due_at is None or not (await self._store.archive.depth()).queued:
            return None
        pause, self.now = due_at - self.now, due_at
        return pause


@asynccontextmanager
async def one_file(
    database_url: str, folder: Path, *, status: int, url_life: float
) -> AsyncIterator[OneFileArchive]:
    """A file that the source answers for with this status."""
    store = await Store.open(database_url, source="test", archives=True)
    async with FileSource(b"", otherwise=Turn(status=status)) as source:
        archive = OneFileArchive(store, source.url, folder, url_life=url_life)
        await archive.read("", "r1")
        try:
            yield archive
        finally:
            await store.close()


@pytest.mark.parametrize(("url_life", "longest"), [(7 * DAY, 3_600.0), (0.5, 10.0)])
async def test_a_denied_file_is_tried_with_its_new_url_at_once_and_then_ever_less_often(
    url_life: float, longest: float, sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=403, url_life=url_life) as archive:
        pauses = [await archive.attempt() or 0.0 for _ in range(16)]
    assert pauses[0] == 0.0
    assert 1.0 < pauses[1] <= 2.0
    assert longest * 0.9 <= pauses[-1] <= longest


@pytest.mark.parametrize("status", [403, 503])
async def test_a_file_is_given_up_when_its_url_has_expired_and_the_api_gives_no_new_one(
    status: int, sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=status, url_life=60.0) as archive:
        archive.signs_anew = False
        pauses = [await archive.attempt()]
        while pauses[-1] is not None and len(pauses) < 20:
            pauses.append(await archive.attempt())
    assert pauses[-1] is None
    assert 60.0 < sum(pause + 1 for pause in pauses if pause is not None) < 150.0
