"""The queries of `recording-worker archive`, on both engines."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.contract.store.test_archive import (
    DAY,
    START,
    copied,
    done,
    end,
    failed,
    finish_manifest,
    take,
    take_manifests,
    track,
)
from tests.contract.store.test_pruning import NOW, observation
from tests.state_queries import read_state
from worker.domain.snapshot import Storage
from worker.store.admin.archived_files import (
    ArchiveEntry,
    EntriesFilter,
    find_entries,
    find_failed_recordings,
)
from worker.store.admin.copy_rows import StoredCopy, StoredManifest
from worker.store.admin.stored_copies import CopiesFilter, each_stored
from worker.store.archive_manifests import ManifestPostponement
from worker.store.archive_queue import Postponement, encoded
from worker.store.database.archive_schema import archive_files
from worker.store.store import Store

BUCKET: Final = Storage(type="aws", bucket="b", path="p")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test", archives=True)
    yield opened
    await opened.close()


def listed(url: str, **condition: Any) -> list[tuple[str, str | None, str]]:
    """The recording, the file and the state of each entry."""
    entries = read_state(url, find_entries, EntriesFilter(**condition))
    return [
        (entry.recording_id, entry.file.file_name if entry.file else None, entry.state)
        for entry in entries
    ]


async def fill(store: Store) -> None:
    """A recording for each state. Of those that wait, `soon` has the nearest expiry."""
    await end(store, "archived", "a")
    (task,) = await take(store)
    assert await done(store, task)
    (manifest,) = await take_manifests(store)
    assert await finish_manifest(store, manifest)
    await end(store, "failed", "f", app="eu")
    (task,) = await take(store)
    assert await failed(store, task)
    await end(store, "late", "l", life=7 * DAY)
    await end(store, "soon", "s", life=2 * DAY)


async def test_the_most_urgent_entries_are_first(store: Store, database_url: str) -> None:
    await fill(store)

    assert listed(database_url) == [
        ("soon", "s.webm", "queued"),
        ("late", "l.webm", "queued"),
        ("failed", None, "queued"),  # its manifest is to be written
        ("failed", "f.webm", "failed"),
        ("archived", "a.webm", "archived"),
    ]


SELECTIONS: Final[list[tuple[dict[str, Any], list[str]]]] = [
    ({"state": "queued"}, ["soon", "late", "failed"]),
    ({"state": "failed"}, ["failed"]),
    ({"state": "archived"}, ["archived"]),
    ({"state": "external"}, []),
    ({"app": "eu"}, ["failed", "failed"]),
    ({"app": "nobody"}, []),
    ({"recording_id": "late"}, ["late"]),
    ({"recording_id": "late", "state": "archived"}, []),
    ({"limit": 2}, ["soon", "late"]),
    ({"limit": 4}, ["soon", "late", "failed", "failed"]),
]


async def test_each_condition_selects_the_entries_that_fulfil_it(
    store: Store, database_url: str
) -> None:
    await fill(store)

    for condition, recordings in SELECTIONS:
        found = [recording_id for recording_id, _, _ in listed(database_url, **condition)]
        assert found == recordings, condition


async def entry_of(url: str, recording_id: str) -> ArchiveEntry:
    (entry,) = read_state(url, find_entries, EntriesFilter(recording_id=recording_id))
    return entry


async def test_an_entry_says_who_has_the_file_and_why_it_waits(
    store: Store, database_url: str
) -> None:
    await end(store, "r1", "a", life=2 * DAY)
    fresh = await entry_of(database_url, "r1")
    (task,) = await take(store)
    taken = await entry_of(database_url, "r1")
    await store.archive.postpone_file(
        Postponement(
            recording_id="r1",
            file_index=task.file_index,
            round=task.round,
            owner="me",
            due_at=START + 30,
            error=encoded("storage_refused", "HTTP 403"),
        )
    )
    waiting = await entry_of(database_url, "r1")

    assert (fresh.is_taken, fresh.has_url, fresh.attempts) == (False, True, 0)
    assert fresh.url_expires_at == (NOW + 2 * DAY).timestamp()
    assert (taken.is_taken, taken.attempts) == (True, 1)
    assert (waiting.is_taken, waiting.due_at) == (False, START + 30)
    assert waiting.last_error is not None
    assert waiting.last_error.code == "storage_refused"


@pytest.mark.parametrize("column", ["file", "last_error", "copied"])
async def test_a_row_that_cannot_be_read_hides_no_other(
    column: str, store: Store, database_url: str, engine: sa.Engine
) -> None:
    await end(store, "a", "one")
    await end(store, "b", "two")
    with engine.begin() as connection:
        broken = sa.update(archive_files).where(archive_files.c.recording_id == "a")
        connection.execute(broken.values({column: '{"from": "a newer version"'}))
    found = {
        entry.recording_id: entry
        for entry in read_state(database_url, find_entries, EntriesFilter())
    }
    assert found["a"].last_error is not None
    assert "the row cannot be read" in found["a"].last_error.message
    assert found["a"].file_index == 1
    assert found["b"].file is not None


async def test_a_copy_is_listed_with_its_place(store: Store, database_url: str) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store)
    await done(store, task)

    archived = read_state(database_url, find_entries, EntriesFilter(state="archived"))[0]

    assert archived.copied == copied(task)
    assert (archived.archived_at, archived.due_at, archived.url_expires_at) == (START, None, None)


async def test_a_manifest_that_the_storage_refuses_is_listed_with_the_reason(
    store: Store, database_url: str
) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store)
    await done(store, task)
    await take_manifests(store)
    await store.archive.postpone_manifest(
        ManifestPostponement(
            recording_id="r1",
            owner="me",
            due_at=START + 30,
            error=encoded("storage_refused", "HTTP 403"),
        )
    )

    (manifest,) = read_state(database_url, find_entries, EntriesFilter(state="queued"))

    assert (manifest.file, manifest.is_taken, manifest.due_at) == (None, False, START + 30)
    assert manifest.last_error is not None
    assert manifest.last_error.message == "HTTP 403"


async def test_a_file_in_the_customer_s_own_storage_is_listed_as_external(
    store: Store, database_url: str
) -> None:
    upload = observation("r1", Status.UPLOADED, files=(track("a", url=None),), files_final=True)
    snapshot = msgspec.structs.replace(upload.snapshot, kind="composite", storage=BUCKET)
    await store.apply([msgspec.structs.replace(upload, snapshot=snapshot)])

    states = [state for _, name, state in listed(database_url) if name]

    assert states == ["external"]
    assert listed(database_url, state="external") == [("r1", "a.webm", "external")]


async def test_recordings_with_a_failed_file_are_found_once(
    store: Store, database_url: str
) -> None:
    await end(store, "r1", "a", "b")
    await end(store, "r2", "c", app="eu", at=NOW + timedelta(seconds=1))
    await end(store, "r3", "d", at=NOW + timedelta(seconds=2))
    for task in await take(store, at=START + 2):
        await (done if task.recording_id == "r3" else failed)(store, task)

    assert read_state(database_url, find_failed_recordings) == [("r2", "eu"), ("r1", "default")]
    assert read_state(database_url, find_failed_recordings, app="default") == [("r1", "default")]


async def test_each_copy_is_read_once_over_all_pages(store: Store, database_url: str) -> None:
    for number in range(3):
        await end(store, f"r{number}", "a", "b", "c", app="eu" if number == 2 else "default")
    for task in await take(store):
        await done(store, task)
    await end(store, "waiting", "x")

    def read(**condition: Any) -> list[tuple[str, int]]:
        stored = each_stored(database_url, CopiesFilter(**condition), page_size=2)
        copies = [copy for copy in stored if isinstance(copy, StoredCopy)]
        return [(copy.recording_id, copy.file_index) for copy in copies]

    all_copies = [(f"r{number}", index) for number in range(3) for index in (1, 2, 3)]
    assert read() == all_copies
    assert read(recording_ids=("r0", "r2", "nobody")) == all_copies[:3] + all_copies[6:]
    assert read(app="eu") == all_copies[6:]
    assert read(since=START) == all_copies
    assert read(since=START + 1) == []


async def test_a_manifest_follows_the_files_of_its_recording_once_it_is_written(
    store: Store, database_url: str
) -> None:
    for recording_id in ("r1", "r2", "r3"):
        await end(store, recording_id, "a", "b", "c")
    for task in await take(store):
        await done(store, task)
    for manifest in await take_manifests(store):
        if manifest.recording_id != "r2":  # its manifest is still to be written
            await finish_manifest(store, manifest)

    for page_size in (1, 2, 3, 100):
        stored = list(each_stored(database_url, CopiesFilter(), page_size=page_size))
        kinds = [(item.recording_id, isinstance(item, StoredManifest)) for item in stored]
        assert kinds == [
            *[("r1", False)] * 3,
            ("r1", True),
            *[("r2", False)] * 3,
            *[("r3", False)] * 3,
            ("r3", True),
        ]
    assert isinstance(stored[-1], StoredManifest)
    assert stored[-1].manifest_url == "file:///archive/manifest.json"
    assert stored[-1].checksums == ("0" * 64,) * 3


async def test_copies_since_a_time_are_in_the_order_of_copying(
    store: Store, database_url: str
) -> None:
    for recording_id in ("r1", "r2"):
        await end(store, recording_id, "a", "b")
    tasks = {(task.recording_id, task.file_index): task for task in await take(store)}
    order = [("r2", 2), ("r1", 1), ("r1", 2), ("r2", 1)]
    for second, key in enumerate(order):
        await done(store, tasks[key], at=START + second)
    for manifest in await take_manifests(store, at=START + 9):
        await finish_manifest(store, manifest, at=START + 9)

    for page_size in (1, 2, 3, 100):
        condition = CopiesFilter(since=START + 1)
        stored = list(each_stored(database_url, condition, page_size=page_size))
        assert [
            (item.recording_id, item.file_index if isinstance(item, StoredCopy) else "manifest")
            for item in stored
        ] == [("r1", 1), ("r1", 2), ("r1", "manifest"), ("r2", 1), ("r2", "manifest")]
    assert not list(each_stored(database_url, CopiesFilter(since=START + 1, app="nobody")))


async def test_a_manifest_need_not_have_a_file_that_is_copied_again(
    store: Store, database_url: str, engine: sa.Engine
) -> None:
    await end(store, "r1", "a", "b")
    for task in await take(store):
        await done(store, task)
    (manifest,) = await take_manifests(store)
    await finish_manifest(store, manifest)
    with engine.begin() as connection:
        connection.execute(
            sa.update(archive_files)
            .where(archive_files.c.file_index == 1)
            .values(state="queued", due_at=START)
        )

    *_, last = each_stored(database_url, CopiesFilter())

    assert isinstance(last, StoredManifest)
    assert last.checksums == ("0" * 64,)
