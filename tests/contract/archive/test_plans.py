"""No query about the archive reads all archived rows, on either engine."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo, FileReady
from tests.contract.store.test_archive import (
    START,
    done,
    end,
    failed,
    finish_manifest,
    later,
    take,
    take_manifests,
    track,
)
from tests.contract.store.test_plans import OVER, TrackedStore, assert_bounded, captured
from tests.contract.store.test_pruning import DAY, NOW, OLD
from tests.state_queries import read_state
from tests.unit.archive.test_manifest import file_ready
from worker.domain.archive import CopiedFile
from worker.store.admin.archive_pages import next_expiry, read_archive, read_recording_archive
from worker.store.admin.archived_files import (
    EntriesFilter,
    find_entries,
    find_failed_recordings,
)
from worker.store.admin.stored_copies import CopiesFilter, each_stored
from worker.store.archive_backfill import BackfillRequest, FileCursor, RecordingCursor
from worker.store.archive_leases import Extension
from worker.store.archive_manifests import ManifestPostponement
from worker.store.archive_queue import encoded
from worker.store.archive_replaced import LateCopy
from worker.store.archive_results import ManifestRefusal
from worker.store.archive_store import ArchiveStore
from worker.store.archive_urls import SignedUrls
from worker.store.database.archive_schema import archive_files, archive_recordings
from worker.store.database.engine import open_engine
from worker.store.database.schema import files, recordings
from worker.store.pruning import PruneRequest
from worker.store.store import Store

HISTORY: Final = 12_000
MAX_STATEMENTS: Final = 25
FILE: Final[FileReady] = file_ready("a.webm")
COPIED: Final = CopiedFile(
    archive_url="s3://b/k", size_bytes=1, sha256="0" * 64, content_type="audio/webm"
)


def fill_archive(engine: sa.Engine) -> None:
    """What months of archiving leave: every file archived, or external."""
    file = msgspec.json.encode(FILE).decode()
    copied = msgspec.json.encode(COPIED).decode()
    over = {"kind": "track", "version": 4, "open": False, "status": "ERRORED", "meeting_id": "m"}
    over["state"] = msgspec.json.encode(OVER).decode()
    settled: dict[str, Any] = {
        "file_index": 1, "file": file, "expires_at": OLD, "urgent_at": OLD, "round": 1,
        "attempts": 1, "refusals": 0, "denials": 0,
    }  # fmt: skip
    kept: dict[str, Any] = {"app": "default", "completed_at": OLD, "changes": 1, "attempts": 0}
    numbers = range(HISTORY)
    apps = ["retired" if number < HISTORY // 2 else "default" for number in numbers]
    history: dict[sa.Table, list[dict[str, Any]]] = {
        recordings: [
            {**over, "recording_id": f"old{n}", "app": apps[n], "changed_at": OLD + n}
            for n in numbers
        ],
        files: [
            {"recording_id": f"old{n}", "file_index": 1, "file_name": "a.webm", "found_at": OLD,
             "url_expires_at": OLD + n}
            for n in numbers
        ],
        archive_files: [
            {
                **settled,
                "recording_id": f"old{n}",
                "app": apps[n],
                "queued_at": OLD + n,
                "state": "archived" if n % 2 else "external",
                "copied": copied if n % 2 else None,
                "archived_at": OLD + n if n % 2 else None,
            }
            for n in numbers
        ],
        archive_recordings: [
            {**kept, "recording_id": f"old{n}", "manifest_url": "s3://b/m"}
            for n in numbers
        ],
    }  # fmt: skip
    with engine.begin() as connection:
        for table, entries in history.items():
            connection.execute(sa.insert(table), entries)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text("VACUUM ANALYZE"))


async def archive_everything(store: Store, archive: Any) -> None:
    """Each method of the archive's store at least once."""
    for name in ("a", "b", "c"):
        await end(store, name, "one", "two")
    first, second, third, *_ = await take(store, untried_first=True)
    await archive.find_url("a", 1)
    await archive.extend(
        Extension(owner="me", until=START + 60, files=(("a", 1),), manifests=("a",))
    )
    await archive.keep_file("a", 1, owner="me", until=START + 60)
    await done(store, first)
    late = LateCopy(recording_id="a", file_index=1, download_url=None, copied=COPIED, now=START)
    await archive.note_late_copy(late)
    await failed(store, second)
    await failed(store, third, due_at=START + 60, refusals=5)
    await later(store)
    await archive.next_due()
    for manifest in await take_manifests(store):
        await archive.read(manifest.recording_id)
        await finish_manifest(store, manifest)
    error = ErrorInfo(code="storage_refused", message="no")
    await archive.manifest_refused(
        ManifestRefusal(
            recording_id="a", owner="me", attempts=5, error=error, now=START, due_at=START
        )
    )
    await archive.postpone_manifest(
        ManifestPostponement(recording_id="a", owner="me", due_at=START, error=encoded("x", ""))
    )
    await archive.note_urls(
        SignedUrls(
            recording_id="a",
            urls={"one.webm": "https://files.example/b"},
            expires_at=START,
            now=START,
        )
    )
    await archive.free_owned("me")
    await archive.depth()
    await archive.remember_folder("/archive", START)
    await archive.is_folder_known("/archive")
    cursors = (
        FileCursor(START - DAY),
        FileCursor(START + DAY, "a", 1),
        FileCursor(START - DAY, found_after=START),
        RecordingCursor(START - DAY),
        RecordingCursor(START, "a"),
    )
    for cursor in cursors:
        await archive.find_unqueued(cursor)
    await archive.queue_announced(BackfillRequest(("a", "old1"), START))
    await end(store, "a", "one", archives_again=True)
    await store.prune_recordings(PruneRequest(before=OLD + 10))


def filters() -> Iterator[EntriesFilter]:
    """Each way of asking for entries."""
    for state in (None, "queued", "failed", "archived", "external"):
        for app in (None, "default", "retired", "nobody"):
            for recording_id in (None, "old1", "a"):
                yield EntriesFilter(limit=5, state=state, app=app, recording_id=recording_id)


def read_by_hand(url: str) -> None:
    """The queries of the command line and the console."""
    for condition in filters():
        read_state(url, find_entries, condition)
    read_state(url, find_failed_recordings)
    read_state(url, find_failed_recordings, app="nobody")
    list(each_stored(url, CopiesFilter(since=OLD + HISTORY - 20)))
    list(each_stored(url, CopiesFilter(since=OLD + HISTORY - 20, app="default")))
    list(each_stored(url, CopiesFilter(recording_ids=("old1", "a"))))
    engine = open_engine(url)
    with engine.connect() as connection:
        read_archive(connection)
        next_expiry(connection, START)
        read_recording_archive(connection, "old1")
    engine.dispose()


async def test_no_statement_of_the_archive_reads_through_archived_files(
    database_url: str,
) -> None:
    await (await Store.open(database_url, source="test")).close()
    engine = open_engine(database_url)
    fill_archive(engine)
    with captured() as statements:
        store = await Store.open(database_url, source="test", archives=True)
        tracked = TrackedStore(store.archive)  # type: ignore[arg-type]  # it passes any calls on
        store.archive = tracked  # type: ignore[assignment]
        try:
            await archive_everything(store, tracked)
            read_by_hand(database_url)
        finally:
            await store.close()
        switched_off = await Store.open(database_url, source="test")
        await switched_off.prune_recordings(PruneRequest(before=OLD + 20))
        await switched_off.close()
    methods = {name for name, _ in inspect.getmembers(ArchiveStore, inspect.iscoroutinefunction)}
    assert methods == tracked.used & methods, "ask these here too"
    assert_bounded(engine, statements)
    engine.dispose()


async def test_copies_since_a_time_are_read_in_a_few_statements_however_many_there_are_before(
    database_url: str,
) -> None:
    await (await Store.open(database_url, source="test")).close()
    engine = open_engine(database_url)
    fill_archive(engine)
    engine.dispose()
    with captured() as statements:
        stored = list(each_stored(database_url, CopiesFilter(since=OLD + HISTORY - 100)))
    assert len(stored) == 100  # 50 files, each with a manifest
    assert len(statements) < MAX_STATEMENTS


async def test_hundreds_of_files_are_queued_again_with_new_urls_in_a_few_statements(
    database_url: str,
) -> None:
    names = [str(number) for number in range(300)]
    store = await Store.open(database_url, source="test", archives=True)
    await end(store, "a", *names)
    signed = [track(name, url=f"https://files.example/{name}?again") for name in names]
    at = NOW + timedelta(hours=1)
    with captured() as statements:
        await end(store, "a", *signed, at=at, archives_again=True, renews_urls=True)
    tasks = await take(store, 300, at=at.timestamp())
    await store.close()
    assert {task.round for task in tasks} == {2}
    assert all((task.download_url or "").endswith("?again") for task in tasks)
    assert len(tasks) == 300
    assert len(statements) < MAX_STATEMENTS
