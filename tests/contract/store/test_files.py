"""The announced files of recordings whose observations share a transaction, on both engines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.store_requests import observation_of
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.database.direct import STATEMENT_WATCHERS
from worker.store.database.schema import files
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def observation(
    recording_id: str, *names: str, status: Status = Status.UPLOADED, **more: Any
) -> Observation:
    """An uploaded recording with these files. Without names, its files are unknown."""
    shown = tuple(
        TrackFile(file_name=name, media_kind="audio", download_url=f"https://x.test/{name}")
        for name in names
    )
    snapshot = RecordingSnapshot(recording_id=recording_id, status=status, kind="track")
    return observation_of(snapshot, NOW, files=shown or None, **more)


async def announced(store: Store) -> list[tuple[str, str]]:
    """The recording and the name of each published file, in order."""
    bodies = [msgspec.json.decode(event.body) for event in await store.unsent(1_000)]
    return [
        (body["subject"], body["data"]["file_name"])
        for body in bodies
        if body["type"] == "recording.file_ready.v1"
    ]


@contextmanager
def statements_about_files() -> Iterator[list[str]]:
    found: list[str] = []

    def note(*arguments: Any) -> None:
        if " files" in arguments[2]:
            found.append(arguments[2])

    def note_direct(text: str, _values: object) -> None:
        if " files" in text:
            found.append(text)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    STATEMENT_WATCHERS.append(note_direct)
    try:
        yield found
    finally:
        STATEMENT_WATCHERS.remove(note_direct)
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("count", [1, 40])
async def test_files_are_read_and_on_postgresql_written_at_once_however_many_recordings_end(
    store: Store, database_url: str, count: int
) -> None:
    ids = [f"r{number}" for number in range(count)]
    await store.apply([observation(recording_id, status=Status.RECORDING) for recording_id in ids])
    with statements_about_files() as statements:
        await store.apply([observation(recording_id, "a", "b") for recording_id in ids])
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1
    if not database_url.startswith("sqlite"):  # SQLite has no round trips to save
        assert len(statements) == 2
    assert await announced(store) == [
        (recording_id, name) for recording_id in ids for name in ("a", "b")
    ]


@pytest.mark.parametrize(
    "batches",
    [
        [[("a",), ("a", "b"), ("c", "b", "a")]],
        [[("a",)], [("a", "b"), ("c", "b", "a")]],
        [[("a",)], [("a", "b")], [("c", "b", "a")]],
    ],
)
async def test_each_file_is_announced_once_whichever_observations_share_a_transaction(
    store: Store, engine: sa.Engine, batches: Sequence[Sequence[tuple[str, ...]]]
) -> None:
    await store.apply([observation("other", "a"), observation("r", status=Status.RECORDING)])
    for batch in batches:
        await store.apply([observation("r", *names) for names in batch])
    assert await announced(store) == [("other", "a"), ("r", "a"), ("r", "b"), ("r", "c")]
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(files.c.file_index, files.c.file_name)
            .where(files.c.recording_id == "r")
            .order_by(files.c.file_index)
        ).all()
    assert [tuple(row) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_url_that_is_renewed_in_the_transaction_that_adds_its_file_is_kept(
    store: Store,
) -> None:
    def signed(url: str, hour: int) -> Observation:
        upload = observation("r", "a", renews_urls=True)
        assert upload.files is not None
        file = msgspec.structs.replace(upload.files[0], download_url=url)
        expiry = NOW.replace(hour=hour)
        snapshot = msgspec.structs.replace(upload.snapshot, download_url_expiry=expiry)
        return msgspec.structs.replace(upload, files=(file,), snapshot=snapshot)

    first, second = signed("https://x.test/1", 11), signed("https://x.test/2", 12)
    await store.apply([observation("r", status=Status.RECORDING)])
    await store.apply([first, second])
    await store.apply([second])
    types = [event.event_type for event in await store.unsent(100)]
    assert types.count("recording.file_url_renewed.v1") == 1
