"""`archive_recording` where nothing is to be copied: the manifest is written."""

from collections.abc import AsyncIterator

import pytest

from recording_schemas import ParticipantWithoutFile
from tests.contract.store.test_archive import (
    done,
    end,
    finish_manifest,
    take,
    take_manifests,
    track,
)
from worker.domain.snapshot import Storage
from worker.domain.track_files import TrackFile
from worker.store.store import Store

THEIRS = Storage(type="aws", bucket="theirs", path="recordings/a.webm")
BOB = ParticipantWithoutFile(user_id="bob", custom_participant_id=None, joined=True)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test", archives=True)
    yield opened
    await opened.close()


@pytest.mark.parametrize(("files", "storage"), [((), None), ((track("a", url=None),), THEIRS)])
async def test_a_recording_from_before_the_archive_without_files_to_copy_gets_its_manifest(
    files: tuple[TrackFile, ...], storage: Storage | None, database_url: str
) -> None:
    before = await Store.open(database_url, source="test")
    await end(before, "r1", *files, storage=storage)
    await before.close()
    opened = await Store.open(database_url, source="test", archives=True)
    await end(opened, "r1", *files, storage=storage, archives_again=True)
    assert await take(opened) == ()
    (task,) = await take_manifests(opened)
    archive = await opened.archive.read("r1")
    assert archive is not None
    assert [file.state for file in archive.files] == ["external"] * len(files)
    assert await finish_manifest(opened, task)
    await opened.close()


async def test_the_manifest_is_written_again_if_the_api_gives_no_url_any_more(
    store: Store,
) -> None:
    await end(store, "r1", "a")
    await done(store, (await take(store))[0])
    (task,) = await take_manifests(store)
    assert await finish_manifest(store, task)
    await end(store, "r1", track("a", url=None), archives_again=True)
    assert await take(store) == ()
    assert len(await take_manifests(store)) == 1
    archive = await store.archive.read("r1")
    assert archive is not None
    assert [file.state for file in archive.files] == ["archived"]


async def test_a_recording_from_before_the_archive_keeps_who_has_no_file(
    database_url: str,
) -> None:
    before = await Store.open(database_url, source="test")
    await end(before, "r1", "a", without_file=(BOB,))
    await before.close()
    opened = await Store.open(database_url, source="test", archives=True)
    await end(opened, "r1", "a", without_file=(BOB,), archives_again=True)
    archive = await opened.archive.read("r1")
    assert archive is not None
    assert archive.without_file == (BOB,)
    await opened.close()
