"""Files that cannot be downloaded: their URLs are denied, expire, redirect, or have a wrong
size."""

import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from recording_schemas import Status
from tests.contract.store.test_archive import events
from tests.contract.store.test_pruning import NOW, observation
from tests.integration.archive.file_source import FileSource, Turn
from worker.archive.abandoned_uploads import AbandonedUploads
from worker.archive.copier import Copier
from worker.archive.denials import MAX_DENIALS, MAX_SAME_ANSWERS
from worker.archive.download import Download
from worker.archive.file_copies import FileCopies
from worker.archive.folder_mark import FolderMark
from worker.archive.storage import ArchiveStorage
from worker.domain.archive_keys import KeyTemplate
from worker.domain.errors import Unavailable
from worker.domain.track_files import TrackFile
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.store.archive_queue import TakeRequest
from worker.store.store import Store

DAY = 86_400.0
HUGE = Turn(headers={"Content-Length": str(10**15)})
EMPTY = Turn(body=b"")
ASTRAY = Turn(status=302, location="ftp://portal.example/login")


class OneFileArchive:
    """The archive of a recording with one file. Each read of it may give a new URL."""

    def __init__(
        self,
        store: Store,
        source_url: str,
        folder: Path,
        *,
        url_life: float,
        allow_private: bool = True,
    ) -> None:
        self.now = NOW.timestamp()
        self.reported_failures: list[tuple[str, bool]] = []
        """The code of each `archive_failed` event, and whether it is final."""
        self.signs_anew = True
        self.api_is_unavailable = False
        self.reads = 0
        self.expires_at: datetime | None = None
        """When every URL expires. With None, each lasts `url_life`."""
        self.source: FileSource
        self._store = store
        self._source_url = source_url
        self._url_life = url_life
        self._numbers = itertools.count()
        storage = ArchiveStorage.open(folder.as_uri())
        self._copies = FileCopies(
            store.archive,
            Copier(
                storage,
                Download(timeout_seconds=5, allow_private_sources=allow_private),
                part_bytes=5_242_880,
                max_file_bytes=10**9,
            ),
            KeyTemplate.parse("{recording_id}/{file_name}"),
            AbandonedUploads(storage, now=self._now),
            FolderMark(storage, store.archive, now=self._now),
            owner="me",
            read_again=self.read,
            longest_pause=600.0,
            now=self._now,
            metrics=Metrics(CollectorRegistry(), version="1"),
            tracing=Tracing(),
        )

    def _now(self) -> float:
        return self.now

    async def read(self, app: str, recording_id: str) -> None:
        """Apply the recording as the API shows it. The read takes a second."""
        del app
        self.now += 1
        self.reads += 1
        if self.api_is_unavailable:
            raise Unavailable("unavailable", "the API does not answer")
        if not self.signs_anew:
            return
        at = NOW + timedelta(seconds=self.now - NOW.timestamp())
        url = f"{self._source_url}&number={next(self._numbers)}"
        file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url=url)
        upload = observation(
            recording_id,
            Status.UPLOADED,
            at=at,
            files=(file,),
            files_final=True,
            renews_urls=True,
        )
        expiry = self.expires_at or at + timedelta(seconds=self._url_life)
        snapshot = msgspec.structs.replace(upload.snapshot, download_url_expiry=expiry)
        await self._store.apply([msgspec.structs.replace(upload, snapshot=snapshot)])

    async def attempt(self) -> float | None:
        """Copy the due file. Returns the seconds until the next attempt, or None if there is
        none."""
        request = TakeRequest(owner="me", now=self.now, until=self.now + 60, limit=1)
        (task,) = await self._store.archive.take_files(request)
        await self._copies.attempt(task)
        failures = await events(self._store, "archive_failed")
        self.reported_failures = [
            (event["data"]["error"]["code"], event["data"]["final"]) for event in failures
        ]
        due_at = await self._store.archive.next_due()
        if due_at is None or not (await self._store.archive.depth()).queued:
            return None
        pause, self.now = due_at - self.now, due_at
        return pause

    async def renewals(self) -> int:
        """The number of events that published a new URL."""
        return len(await events(self._store, "file_url_renewed"))

    async def attempts(self, most: int = 200) -> list[float]:
        """Try until nothing is queued. Returns the pauses between the attempts."""
        pauses: list[float] = []
        while (pause := await self.attempt()) is not None:
            pauses.append(pause)
            assert len(pauses) < most
        return pauses


@asynccontextmanager
async def one_file(
    database_url: str, folder: Path, *, status: int, url_life: float
) -> AsyncIterator[OneFileArchive]:
    """A file that the source answers with this status."""
    store = await Store.open(database_url, source="test", archives=True)
    async with FileSource(b"bytes", otherwise=Turn(status=status)) as source:
        archive = OneFileArchive(store, source.url, folder, url_life=url_life)
        archive.source = source
        await archive.read("", "r1")
        try:
            yield archive
        finally:
            await store.close()


@pytest.mark.parametrize("url_life", [7 * DAY, 900.0, 0.5])
@pytest.mark.parametrize("status", [403, 404])
async def test_a_file_whose_new_urls_are_all_denied_is_given_up_after_about_a_day(
    status: int, url_life: float, sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=status, url_life=url_life) as archive:
        pauses = await archive.attempts()
    assert pauses[:2] == [0.0, pytest.approx(1.9, abs=0.1)]
    assert len(pauses) < 100
    assert 0.5 * DAY < sum(pauses) < 2 * DAY
    assert max(pauses) <= 3_600.0
    assert archive.reported_failures == [("url_denied", True)]


async def test_a_file_that_is_denied_for_hours_is_copied_when_its_source_permits_it(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=403, url_life=60.0) as archive:
        for _ in range(30):
            await archive.attempt()
        archive.source.otherwise = Turn()
        await archive.attempts()
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").exists()


@pytest.mark.parametrize("is_unavailable", [True, False])
async def test_denials_still_count_while_the_api_is_unavailable_or_gives_no_new_url(
    is_unavailable: bool, sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=403, url_life=7 * DAY) as archive:
        for _ in range(10):
            assert await archive.attempt() is not None
        archive.api_is_unavailable, archive.signs_anew = is_unavailable, is_unavailable
        for _ in range(20):
            assert await archive.attempt() is not None
        archive.api_is_unavailable, archive.signs_anew = False, True
        assert len(await archive.attempts()) == MAX_DENIALS - 10 - 1
    assert archive.reported_failures == [("url_denied", True)]


async def test_a_new_url_that_expires_no_later_is_tried_at_once_without_an_event(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=403, url_life=7 * DAY) as archive:
        archive.expires_at = NOW + timedelta(days=7)
        archive.source.turns = [Turn(status=403), Turn()]
        assert await archive.attempts() == [0.0]
        first, second = (request.target for request in archive.source.requests)
        assert first != second
        assert await archive.renewals() == 0
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").exists()


@pytest.mark.parametrize("status", [403, 503])
async def test_a_file_is_given_up_when_its_url_has_expired_and_the_api_gives_no_new_one(
    status: int, sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=status, url_life=60.0) as archive:
        archive.signs_anew = False
        pauses = await archive.attempts()
    assert len(pauses) >= MAX_SAME_ANSWERS
    assert sum(pauses) < 6_000.0
    assert archive.reported_failures == [("url_expired", True)]


async def test_a_file_is_not_given_up_when_the_api_once_gives_no_new_url_after_the_expiry(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=403, url_life=60.0) as archive:
        archive.signs_anew = False
        archive.now += 61.0
        for _ in range(MAX_SAME_ANSWERS - 1):
            await archive.attempt()
        archive.signs_anew, archive.source.otherwise = True, Turn()
        await archive.attempts()
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").exists()


# Redirects and addresses


async def test_a_source_that_redirects_astray_is_given_up_after_some_minutes(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.otherwise = ASTRAY
        pauses = await archive.attempts()
    assert 180.0 < sum(pauses) < 1_800.0
    assert archive.reported_failures == [("source_url_refused", True)]


async def test_a_redirect_astray_that_passes_gives_no_file_up(
    sqlite_url: str, tmp_path: Path
) -> None:
    """A portal or a proxy may redirect everything for a while."""
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.turns = [ASTRAY] * (MAX_SAME_ANSWERS - 1)
        archive.source.otherwise = Turn()
        await archive.attempts()
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").exists()


class Resolver:
    """Answers look-ups with these addresses in order, and repeats the last one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str | None) -> None:
        self._addresses = list(addresses)
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        if address is None:
            raise socket.gaierror(socket.EAI_NONAME, host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]


@asynccontextmanager
async def file_at(url: str, database_url: str, folder: Path) -> AsyncIterator["OneFileArchive"]:
    """A file with this URL, read by a worker that reads from public addresses only."""
    store = await Store.open(database_url, source="test", archives=True)
    archive = OneFileArchive(store, url, folder, url_life=7 * DAY, allow_private=False)
    await archive.read("", "r1")
    try:
        yield archive
    finally:
        await store.close()


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "127.0.0.1"])
async def test_a_host_whose_name_has_a_private_address_is_given_up_after_some_minutes(
    address: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Resolver(monkeypatch, address)
    async with file_at("https://files.example.com/a?b", sqlite_url, tmp_path) as archive:
        pauses = await archive.attempts()
    assert 180.0 < sum(pauses) < 1_800.0
    assert min(pauses) > 0.5
    assert archive.reported_failures == [("private_address", True)]


async def test_private_answers_count_only_in_a_row(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ["10.0.0.1"] * (MAX_SAME_ANSWERS - 1)
    Resolver(monkeypatch, *wrong, None, *wrong, None)
    async with file_at("https://files.example.com/a?b", sqlite_url, tmp_path) as archive:
        for _ in range(2 * MAX_SAME_ANSWERS + 5):
            assert await archive.attempt() is not None
    assert archive.reported_failures == []


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://10.0.0.1/a?b", "private_address"),
        ("https://[::1]/a?b", "private_address"),
        ("https://[::ffff:192.168.0.1]/a?b", "private_address"),
        ("ftp://files.example.com/a?b", "source_url_refused"),
    ],
)
async def test_a_url_that_may_not_be_read_from_is_given_up_after_some_minutes_and_new_reads(
    url: str, code: str, sqlite_url: str, tmp_path: Path
) -> None:
    """The API may return a wrong size once."""
    async with file_at(url, sqlite_url, tmp_path) as archive:
        pauses = await archive.attempts()
        assert archive.reads == MAX_SAME_ANSWERS + 1
    assert 180.0 < sum(pauses) < 1_800.0
    assert archive.reported_failures == [(code, True)]


# Answers that one wrong header can give


async def test_a_file_that_is_too_large_each_time_is_given_up_after_some_minutes_and_new_urls(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.otherwise = HUGE
        pauses = await archive.attempts()
        asked = {request.target for request in archive.source.requests}
    assert 180.0 < sum(pauses) < 1_800.0
    assert len(asked) == MAX_SAME_ANSWERS
    assert archive.reported_failures == [("file_too_large", True)]


async def test_a_wrong_length_that_passes_gives_no_file_up(sqlite_url: str, tmp_path: Path) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.turns = [HUGE] * (MAX_SAME_ANSWERS - 1)
        archive.source.otherwise = Turn()
        await archive.attempts()
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").exists()


async def test_lengths_that_differ_each_time_give_no_file_up(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        sizes = [str(10**12 + number) for number in range(3 * MAX_SAME_ANSWERS)]
        archive.source.turns = [Turn(headers={"Content-Length": size}) for size in sizes]
        archive.source.otherwise = Turn()
        await archive.attempts()
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").exists()


async def test_a_large_file_is_not_given_up_while_the_api_cannot_give_a_new_url(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.otherwise = HUGE
        for _ in range(3):
            assert await archive.attempt() is not None
        archive.api_is_unavailable = True
        for _ in range(3 * MAX_SAME_ANSWERS):
            assert await archive.attempt() is not None
        archive.api_is_unavailable = False
        assert len(await archive.attempts()) == MAX_SAME_ANSWERS - 3 - 1
    assert archive.reported_failures == [("file_too_large", True)]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_without_bytes_is_given_up_after_about_a_day_and_never_archived(
    chunked: bool, sqlite_url: str, tmp_path: Path
) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.otherwise = Turn(body=b"", chunked=chunked)
        pauses = await archive.attempts()
    assert 0.5 * DAY < sum(pauses) < 1.5 * DAY
    assert archive.reported_failures == [("source_empty", True)]
    assert not (tmp_path / "r1/a.webm").exists()


async def test_a_file_whose_bytes_appear_later_is_copied(sqlite_url: str, tmp_path: Path) -> None:
    async with one_file(sqlite_url, tmp_path, status=200, url_life=7 * DAY) as archive:
        archive.source.turns = [EMPTY] * 20
        archive.source.otherwise = Turn()
        await archive.attempts()
    assert archive.reported_failures == []
    assert (tmp_path / "r1/a.webm").read_bytes() == b"bytes"
