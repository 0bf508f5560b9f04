"""`recording-worker store set-aside` and `publish-again`, on both engines, with a worker
running."""

from pathlib import Path

import pytest

from tests.integration.cli.test_recordings import observation
from tests.integration.cli_process import CommandLine
from worker.store.outbox_marks import SET_ASIDE, Deferral, PageMarks
from worker.store.store import Store


@pytest.mark.parametrize("by_id", [True, False])
async def test_events_that_are_set_aside_are_listed_and_published_again(
    database_url: str, tmp_path: Path, by_id: bool
) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    await store.apply([observation("r-1"), observation("r-2")])
    event, *others = await store.unsent(10)
    error = Deferral(
        position=event.position, retry_at=SET_ASIDE, tries=3, losses=3, error="too large\x1b[2J\0"
    )
    await store.mark_page(PageMarks(deferred=[error]), 1.0)
    assert await store.unsent(10) == others

    listed = await cli("store", "set-aside", "--json")
    unknown = await cli("store", "publish-again", "nobody's")
    unclear = await cli("store", "publish-again")
    again = await cli("store", "publish-again", event.event_id if by_id else "--all")

    (row,) = listed.lines
    assert (row["event_id"], row["tries"], row["bytes"]) == (event.event_id, 3, len(event.body))
    assert (unknown.code, unclear.code, again.code) == (1, 2, 0)
    assert [pending.position for pending in await store.unsent(10)] == [
        event.position, *(pending.position for pending in others)
    ]  # fmt: skip
    await store.close()


async def test_an_event_waits_behind_a_deferred_one_of_its_recording_until_that_is_due(
    database_url: str,
) -> None:
    store = await Store.open(database_url, source="test")
    await store.apply([observation("r-1")])
    (first,) = await store.unsent(10)
    late = Deferral(position=first.position, retry_at=50.0, tries=1, losses=0, error="full")
    await store.mark_page(PageMarks(deferred=[late]), 1.0)
    await store.apply([observation("r-2")])

    assert [pending.subject for pending in await store.unsent(10, resume=True, now=49.0)] == ["r-2"]
    depth = await store.outbox_depth()
    assert (depth.events, depth.deferred, depth.set_aside) == (2, 1, 0)
    due = await store.unsent(10, resume=True, now=51.0)
    assert [(pending.subject, pending.tries) for pending in due] == [("r-1", 1), ("r-2", 0)]
    await store.close()
