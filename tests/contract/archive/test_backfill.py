"""Files that were announced while no archive was on are queued when it is switched on."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from recording_sandbox.waiting import eventually
from recording_schemas import Status
from tests.contract.store.test_archive import (
    DAY,
    START,
    done,
    end,
    events,
    finish_manifest,
    names,
    take,
    take_manifests,
    track,
)
from tests.contract.store.test_pruning import NOW, observation, send_all
from worker.archive.backfill import INTERVAL_SECONDS, Backfill
from worker.domain.archive import RecordingArchive
from worker.domain.snapshot import Storage
from worker.domain.times import utc
from worker.store.archive_backfill import MAX_FILES, MAX_RECORDINGS
from worker.store.archive_intake import URL_LIFE_SECONDS
from worker.store.database.archive_schema import archive_files
from worker.store.pruning import PruneSentRequest
from worker.store.store import Store


@asynccontextmanager
async def opened(url: str, *, archives: bool = True) -> AsyncIterator[Store]:
    store = await Store.open(url, source="test", archives=archives)
    yield store
    await store.close()


@asynccontextmanager
async def without_archive(url: str) -> AsyncIterator[Store]:
    async with opened(url, archives=False) as store:
        yield store


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


async def backfill(store: Store, *, at: float = START) -> None:
    await Backfill(store.archive, now=lambda: at, sleep=no_pause).search_once()


async def archive_of(store: Store, recording_id: str) -> RecordingArchive:
    archive = await store.archive.read(recording_id)
    assert archive is not None
    return archive


async def test_files_from_before_the_archive_are_queued_as_they_were_announced(
    database_url: str,
) -> None:
    async with without_archive(database_url) as store:
        await end(store, "r1", "a", "b")
        await end(store, "r2", "c")
    async with opened(database_url) as store:
        assert await take(store) == ()
        await backfill(store)
        tasks = await take(store)
        assert sorted(names(tasks)) == ["a", "b", "c"]
        for task in tasks:
            assert task.download_url == f"https://files.example/{names([task])[0]}"
            assert task.file.user_id == "u"
            assert task.expires_at == START + 7 * DAY.total_seconds()


async def history(url: str, *, archives: bool) -> RecordingArchive:
    """The archive of a recording, with an archive from its start or only from its end on."""
    async with opened(url, archives=archives) as store:
        await store.apply([observation("r1", Status.INVOKED)])
        await store.apply([observation("r1", Status.RECORDING, at=NOW + timedelta(seconds=5))])
        await end(store, "r1", "a", "b", at=NOW + timedelta(seconds=9))
        await end(store, "r1", "a", "b", "late", at=NOW + timedelta(seconds=20))
    async with opened(url) as store:
        await backfill(store)
        tasks = await take(store, at=START + 60)
        for task in tasks:
            assert await done(store, task)
        (manifest,) = await take_manifests(store, at=START + 60)
        archive = await archive_of(store, "r1")
        assert await finish_manifest(store, manifest)
        assert len(await events(store)) == len(tasks) + 1
    files = tuple(msgspec.structs.replace(file, queued_at=0.0) for file in archive.files)
    return msgspec.structs.replace(archive, files=files)


async def test_the_manifest_of_an_earlier_recording_has_its_whole_history(
    tmp_path: Path,
) -> None:
    backfilled = await history(f"sqlite:///{tmp_path}/off.db", archives=False)
    archived = await history(f"sqlite:///{tmp_path}/on.db", archives=True)
    assert backfilled == archived
    assert [change.status for change in backfilled.timeline] == ["INVOKED", "RECORDING", "UPLOADED"]
    assert len(backfilled.files) == 3


@pytest.mark.parametrize("missed", [0, 1, 2])
async def test_the_manifest_has_the_statuses_that_only_replicas_without_the_archive_saw(
    missed: int, database_url: str
) -> None:
    statuses = (Status.INVOKED, Status.RECORDING, Status.UPLOADING)
    for number, status in enumerate(statuses):
        async with opened(database_url, archives=number > missed) as store:
            await store.apply([observation("r1", status, at=NOW + timedelta(seconds=number))])
    async with opened(database_url) as store:
        await end(store, "r1", "a", at=NOW + timedelta(seconds=9))
        for _ in range(2):
            archive = await archive_of(store, "r1")
            assert [change.status for change in archive.timeline] == [*statuses, Status.UPLOADED]
        await send_all(store, START)
        await store.prune_sent(PruneSentRequest(before=START + 1))
        assert await archive_of(store, "r1") == archive


@pytest.mark.parametrize("is_copied", [True, False])
async def test_a_recording_that_a_replica_without_the_archive_completed_gets_its_manifest(
    is_copied: bool, database_url: str
) -> None:
    async with opened(database_url) as store:
        uploading = observation("r1", Status.UPLOADING, files=(track("a"),))
        snapshot = msgspec.structs.replace(uploading.snapshot, download_url_expiry=NOW + 7 * DAY)
        await store.apply([msgspec.structs.replace(uploading, snapshot=snapshot)])
        if is_copied:
            assert await done(store, (await take(store))[0])
    async with without_archive(database_url) as store:
        await end(store, "r1", "a", at=NOW + timedelta(seconds=9))
        assert len(await events(store, "completed")) == 1
    async with opened(database_url) as store:
        await backfill(store, at=START + 10)
        if not is_copied:
            assert await done(store, (await take(store))[0])
        (manifest,) = await take_manifests(store, at=START + 10)
        assert await finish_manifest(store, manifest)
        await backfill(store, at=START + 20)
        assert await take_manifests(store, at=START + 20) == ()


async def test_after_a_rolling_update_only_files_of_the_old_replica_are_queued(
    database_url: str,
) -> None:
    async with opened(database_url) as store:
        await store.apply([observation("r1", Status.RECORDING)])
        await end(store, "r1", "a")
        assert await done(store, (await take(store))[0])
    async with without_archive(database_url) as store:
        await end(store, "r1", "a", "b", at=NOW + timedelta(seconds=5))
    async with opened(database_url) as store:
        await backfill(store)
        tasks = await take(store)
        assert names(tasks) == ["b"]
        assert await done(store, tasks[0])
        archive = await archive_of(store, "r1")
        assert [file.state for file in archive.files] == ["archived", "archived"]
        assert [change.status for change in archive.timeline] == ["RECORDING", "UPLOADED"]
        assert len(await take_manifests(store)) == 1


async def test_a_second_search_and_a_second_replica_queue_nothing_more(
    database_url: str, engine: sa.Engine
) -> None:
    async with without_archive(database_url) as store:
        for number in range(MAX_RECORDINGS + 1):
            await end(store, f"r{number}", "a")
    async with opened(database_url) as store:
        await asyncio.gather(backfill(store), backfill(store))
        tasks = await take(store, 100)
        assert len(tasks) == MAX_RECORDINGS + 1
        assert await done(store, tasks[0])
        await backfill(store)
        assert await take(store, 100) == ()
    with engine.begin() as connection:
        assert connection.execute(sa.select(sa.func.max(archive_files.c.round))).scalar() == 1


@pytest.mark.parametrize(("life", "queued"), [(DAY, True), (-DAY, False)])
async def test_a_file_whose_url_has_expired_is_not_queued(
    life: timedelta, queued: bool, database_url: str
) -> None:
    async with without_archive(database_url) as store:
        await end(store, "r1", "a", life=life)
    async with opened(database_url) as store:
        await backfill(store)
        assert bool(await take(store)) is queued


async def test_a_file_is_queued_also_if_the_api_does_not_say_when_its_url_expires(
    database_url: str,
) -> None:
    async with without_archive(database_url) as store:
        await end(store, "r1", "a", life=None)
    async with opened(database_url) as store:
        await backfill(store, at=START + 60)
        (task,) = await take(store, at=START + 60)
        assert task.download_url == "https://files.example/a"
        assert task.expires_at > START + DAY.total_seconds()


async def test_a_recording_in_the_customers_own_storage_gets_its_manifest(
    database_url: str,
) -> None:
    storage = Storage(type="aws", bucket="theirs", path="recordings/a.webm")
    async with without_archive(database_url) as store:
        await end(store, "r1", track("a", url=None), storage=storage)
    async with opened(database_url) as store:
        await backfill(store)
        assert await take(store) == ()
        (manifest,) = await take_manifests(store)
        archive = await archive_of(store, "r1")
        assert [(file.state, file.file.file_name) for file in archive.files] == [
            ("external", "a.webm")
        ]
        assert await finish_manifest(store, manifest)
        await backfill(store)
        assert await take_manifests(store) == ()


async def test_recordings_that_ended_before_the_api_forgot_their_files_are_not_looked_at(
    database_url: str,
) -> None:
    async with without_archive(database_url) as store:
        await end(store, "r1", "a", life=None)
    async with opened(database_url) as store:
        await backfill(store, at=START + URL_LIFE_SECONDS + 60)
        assert await take(store, at=START + URL_LIFE_SECONDS + 60) == ()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("life", [7 * DAY, None])
async def test_later_searches_find_files_that_a_replica_without_the_archive_announced(
    life: timedelta | None, database_url: str
) -> None:
    at = START
    async with opened(database_url) as store, without_archive(database_url) as old_replica:
        search = Backfill(store.archive, now=lambda: at, sleep=no_pause)
        for number in range(3):
            await end(old_replica, f"r{number}", "a", at=utc(at - 60), life=life)
            await search.search_once()
            (task,) = await take(store, at=at)
            assert task.recording_id == f"r{number}"
            assert await done(store, task)
            at += INTERVAL_SECONDS


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_search_while_the_clock_was_far_ahead_makes_no_later_search_skip_files(
    database_url: str,
) -> None:
    at = START + 30 * DAY.total_seconds()
    async with opened(database_url) as store:
        search = Backfill(store.archive, now=lambda: at, sleep=no_pause)
        await search.search_once()
        at = START
        async with without_archive(database_url) as old_replica:
            await end(old_replica, "r1", "a")
        await search.search_once()
        assert len(await take(store)) == 1


async def test_a_later_search_skips_rows_that_were_read_before(
    database_url: str, engine: sa.Engine
) -> None:
    """The test deletes the tasks between two searches: rows that are read again return."""
    at = START
    async with without_archive(database_url) as store:
        await end(store, "r1", "a")
        await end(store, "r2", "b", life=None)
    async with opened(database_url) as store:
        search = Backfill(store.archive, now=lambda: at, sleep=no_pause)
        for hours, found in ((0, 2), (2, 2), (4, 0)):
            at = START + hours * 3600.0
            with engine.begin() as connection:
                connection.execute(sa.delete(archive_files))
            await search.search_once()
            assert len(await take(store, at=at)) == found
        next_search = Backfill(store.archive, now=lambda: at, sleep=no_pause)
        await next_search.search_once()
        assert len(await take(store, at=at)) == 2


async def test_the_url_that_was_published_last_is_the_one_that_is_downloaded(
    database_url: str,
) -> None:
    async with without_archive(database_url) as store:
        await end(store, "r1", "a")
        renewed = track("a", url="https://files.example/a?again")
        await end(store, "r1", renewed, life=9 * DAY, by="command", renews_urls=True)
    async with opened(database_url) as store:
        await backfill(store)
        (task,) = await take(store)
        assert task.download_url == "https://files.example/a?again"
        assert task.expires_at == START + 9 * DAY.total_seconds()


async def test_a_file_whose_event_is_no_longer_kept_waits_for_archive_recording(
    database_url: str,
) -> None:
    async with without_archive(database_url) as store:
        await end(store, "r1", "a")
        await send_all(store, START)
        await store.prune_sent(PruneSentRequest(before=START + 1))
        await end(store, "r2", "b")
    async with opened(database_url) as store:
        await backfill(store)
        assert names(await take(store)) == ["b"]
        await end(store, "r1", "a", archives_again=True)
        assert names(await take(store)) == ["a"]


async def test_every_page_of_announced_files_is_looked_at(sqlite_url: str) -> None:
    many = [str(number) for number in range(MAX_FILES + 1)]
    async with without_archive(sqlite_url) as store:
        await end(store, "first", *many)
        await end(store, "second", "a", life=8 * DAY)
        await end(store, "third", *many, life=9 * DAY)
    async with opened(sqlite_url) as store:
        await backfill(store)
        tasks = await take(store, 3 * MAX_FILES)
        assert len(tasks) == 2 * len(many) + 1


class Clock:
    """Counts seconds instead of waiting. It is the leader from a certain time on."""

    def __init__(self, leads_from: float) -> None:
        self.seconds = 0.0
        self._leads_from = leads_from

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)

    def is_leader(self) -> bool:
        return self.seconds >= self._leads_from


async def test_the_leader_searches_at_once_and_then_every_hour(sqlite_url: str) -> None:
    clock = Clock(leads_from=60.0)
    searched_at: list[float] = []

    def now() -> float:
        searched_at.append(clock.seconds)
        return START

    async with opened(sqlite_url) as store:
        loop = Backfill(store.archive, now=now, ticks=lambda: clock.seconds, sleep=clock.sleep)
        running = asyncio.create_task(loop.run(clock.is_leader))
        await eventually(lambda: len(searched_at) >= 3, seconds=20, description="three looks")
        running.cancel()
    assert searched_at[0] == 60.0
    gaps = [later - earlier for earlier, later in itertools.pairwise(searched_at[:3])]
    assert all(INTERVAL_SECONDS <= gap < INTERVAL_SECONDS + 10 for gap in gaps)
