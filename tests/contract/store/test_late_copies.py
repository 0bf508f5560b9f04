"""A frozen replica may write an object after another replica has taken its file."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.store.test_archive import (
    LEASE,
    START,
    done,
    end,
    events,
    failed,
    take,
    take_manifests,
)
from worker.domain.archive import CopiedFile
from worker.store.archive_queue import FileTask
from worker.store.archive_replaced import LateCopy
from worker.store.archive_results import CopyResult
from worker.store.store import Store

LATER = START + LEASE


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test", archives=True)
    yield opened
    await opened.close()


async def keeps(store: Store, task: FileTask, owner: str) -> bool:
    return await store.archive.keep_file(
        task.recording_id, task.file_index, owner=owner, until=LATER + LEASE
    )


async def end_late(store: Store, task: FileTask, sha256: str, *, place: str = "archive") -> None:
    """The frozen owner announces a copy that it wrote after it had lost the file."""
    copied = CopiedFile(
        archive_url=f"file:///{place}/{task.file.file_name}",
        size_bytes=7,
        sha256=sha256 * 64,
        content_type="audio/webm",
    )
    result = CopyResult(
        recording_id=task.recording_id,
        file_index=task.file_index,
        round=task.round,
        owner="frozen",
        copied=copied,
        now=LATER,
        download_url=task.download_url,
    )
    assert not await store.archive.copy_done(result)


async def lose(store: Store) -> FileTask:
    """The only file is taken by an owner that freezes, and then by another one."""
    await end(store, "r1", "a")
    (task,) = await take(store, owner="frozen")
    (again,) = await take(store, at=LATER)
    assert again.attempts == 2
    return task


async def test_an_owner_keeps_its_file_until_another_one_has_taken_it(store: Store) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store, owner="frozen")
    assert await keeps(store, task, "frozen")
    assert await take(store, at=LATER) == ()
    await take(store, at=LATER + LEASE)
    assert not await keeps(store, task, "frozen")
    assert await keeps(store, task, "me")


async def test_nobody_keeps_a_file_that_is_archived(store: Store) -> None:
    task = await lose(store)
    await done(store, task)
    assert not await keeps(store, task, "me")


async def test_a_late_copy_of_other_bytes_has_the_file_copied_and_announced_again(
    store: Store,
) -> None:
    task = await lose(store)
    await done(store, task)
    await end_late(store, task, "1")
    (again,) = await take(store, at=LATER)
    assert (again.round, again.attempts) == (task.round + 1, 1)
    assert again.download_url == task.download_url
    assert await done(store, again)
    assert len(await events(store, "file_archived")) == 2
    assert len(await take_manifests(store, at=LATER)) == 1


async def test_a_late_copy_of_the_announced_bytes_changes_nothing(store: Store) -> None:
    task = await lose(store)
    await done(store, task)
    await end_late(store, task, "0")
    assert await take(store, at=LATER + LEASE) == ()


async def test_a_late_copy_in_another_place_changes_nothing(store: Store) -> None:
    task = await lose(store)
    await done(store, task)
    await end_late(store, task, "1", place="earlier")
    assert await take(store, at=LATER + LEASE) == ()


async def test_an_owner_during_whose_copy_a_late_one_is_written_begins_anew(store: Store) -> None:
    task = await lose(store)
    await end_late(store, task, "0")
    assert not await keeps(store, task, "me")
    assert not await done(store, task)
    (again,) = await take(store, owner="third", at=LATER)
    assert await done(store, again, owner="third")
    assert len(await events(store, "file_archived")) == 1


async def test_a_late_copy_that_may_have_been_written_counts_as_other_bytes(
    store: Store,
) -> None:
    task = await lose(store)
    await done(store, task)
    late = LateCopy(
        recording_id="r1",
        file_index=task.file_index,
        download_url=task.download_url,
        copied=None,
        now=LATER,
    )
    await store.archive.note_late_copy(late)
    assert len(await take(store, at=LATER)) == 1


async def test_a_late_copy_of_a_file_that_was_given_up_has_it_archived(store: Store) -> None:
    task = await lose(store)
    await failed(store, task)
    await end_late(store, task, "0")
    (again,) = await take(store, at=LATER)
    assert await done(store, again)
    assert [event["type"] for event in await events(store)] == [
        "recording.archive_failed.v1",
        "recording.file_archived.v1",
    ]
