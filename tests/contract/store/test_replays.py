"""Events of a recording are published again from the outbox, on both engines."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import chain
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.contract.store.test_pruning import NOW, claim, finish, observation
from worker.domain.track_files import TrackFile
from worker.store.database.schema import outbox, recordings, replays
from worker.store.event_positions import ranges_of
from worker.store.outbox import Reply
from worker.store.outbox_marks import Deferral, PageMarks, Release
from worker.store.pruning import PruneSentRequest
from worker.store.replay_pages import PAGE_EVENTS
from worker.store.store import Store
from worker.store.unsent_events import UnsentEvent

START: Final = NOW.timestamp()
TO_ALL: Final = Reply()
TO_ME: Final = Reply(reply_to="my-queue", correlation_id="my-correlation")


def files(count: int) -> tuple[TrackFile, ...]:
    return tuple(
        TrackFile(file_name=f"f{number:05}.webm", media_kind="audio", download_url="u")
        for number in range(count)
    )


async def record(store: Store, name: str, file_count: int = 2, *, at: int = 0) -> None:
    """A recording with a status, another one, its files and its end: 3 events and its files."""
    observed_at = NOW + timedelta(seconds=at)
    await store.apply([observation(name, at=observed_at)])
    end = observation(
        name, Status.UPLOADED, at=observed_at, files=files(file_count), files_final=True
    )
    await store.apply([end])


async def send(store: Store, now: float = START, *, replies: bool = False) -> list[UnsentEvent]:
    """The events that the relay publishes until none is ready, with the broker's confirmation."""
    sent: list[UnsentEvent] = []
    marks = PageMarks()
    while page := await store.unsent(70, marks=marks, now=now, replies=replies, resume=True):
        sent += page
        marks = PageMarks(sent=[event.position for event in page])
    return sent


async def replay(
    store: Store, *names: str, command_id: str = "replay", reply: Reply = TO_ALL
) -> None:
    await store.claim(claim(command_id, command_type="replay_recording"))
    request = finish(command_id)
    await store.finish(msgspec.structs.replace(request, replay_ids=names, reply=reply))


def numbers(events: Iterable[UnsentEvent], name: str) -> list[int]:
    """The sequence of each event of the recording, in the order of publication."""
    bodies = (msgspec.json.decode(event.body) for event in events)
    return [int(body["sequence"]) for body in bodies if body["subject"] == name]


def rows(engine: sa.Engine, *columns: sa.Column[Any]) -> list[Any]:
    with engine.begin() as connection:
        return list(connection.execute(sa.select(*columns).order_by(columns[0])).all())


# In order and with their ids


async def test_a_replay_publishes_the_same_events_again_in_order(store: Store) -> None:
    await record(store, "r")
    await record(store, "other")
    first = [event for event in await send(store) if event.subject == "r"]

    await replay(store, "r")
    again = [event for event in await send(store) if event.subject == "r"]

    for name in ("event_id", "event_type", "exchange", "routing_key", "headers", "body"):
        assert [getattr(event, name) for event in again] == [
            getattr(event, name) for event in first
        ]
    assert numbers(again, "r") == [1, 2, 3, 4, 5]


async def test_a_replay_of_a_replay_has_each_event_once(store: Store) -> None:
    await record(store, "r")
    await send(store)
    for number in range(3):
        await replay(store, "r", command_id=f"replay-{number}")
        assert numbers(await send(store), "r") == [1, 2, 3, 4, 5]


async def test_events_that_were_not_sent_yet_go_out_once_and_in_their_place(store: Store) -> None:
    await store.apply([observation("r")])
    await send(store)
    await store.apply([observation("r", Status.PAUSED, at=NOW + timedelta(seconds=1))])

    await replay(store, "r")

    assert numbers(await send(store), "r") == [1, 2]


async def test_an_event_that_was_in_flight_meanwhile_is_repeated_in_its_place(
    store: Store,
) -> None:
    await store.apply([observation("r")])
    await send(store)
    await store.apply([observation("r", Status.PAUSED, at=NOW + timedelta(seconds=1))])
    (on_its_way,) = await store.unsent(10, replies=False)

    await replay(store, "r")
    await store.mark_page(PageMarks(sent=[on_its_way.position]), START)

    assert numbers([on_its_way, *await send(store)], "r") == [2, 1, 2]


async def test_an_event_that_is_set_aside_stays_so_and_is_not_doubled(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "r", 0)
    page = await store.unsent(10, replies=False)
    aside = Deferral(position=page[1].position, retry_at=-1.0, tries=3, losses=3, error="broken")
    await store.mark_page(
        PageMarks(sent=[page[0].position, page[2].position], deferred=[aside]), START
    )

    await replay(store, "r")
    assert numbers(await send(store), "r") == [1, 3]
    await replay(store, "r", command_id="to-me", reply=TO_ME)
    assert numbers(await send(store, replies=True), "r") == [1, 3]

    with engine.begin() as connection:
        is_aside = sa.and_(outbox.c.sent_at.is_(None), outbox.c.retry_at < 0)
        left = connection.execute(
            sa.select(outbox.c.event_id, outbox.c.tries, outbox.c.last_error).where(is_aside)
        ).all()
    assert left == [(page[1].event_id, 3, "broken")]
    assert (await store.outbox_depth()).set_aside == 1


async def test_live_events_follow_the_replay(store: Store) -> None:
    await record(store, "r", PAGE_EVENTS * 2)
    await send(store)
    await replay(store, "r")
    late = observation(
        "r", Status.UPLOADED, at=NOW + timedelta(seconds=9), files=files(PAGE_EVENTS * 2 + 3)
    )
    await store.apply([late])

    sent = await send(store)

    count = PAGE_EVENTS * 2 + 3
    assert numbers(sent, "r") == list(range(1, count + 5))


async def test_recordings_that_changed_in_the_same_transaction_are_replayed_as_they_are_then(
    store: Store,
) -> None:
    await store.apply([observation("r")])
    await send(store)
    await store.claim(claim("replay", command_type="replay_recording"))
    paused = observation("r", Status.PAUSED, at=NOW + timedelta(seconds=1))
    request = msgspec.structs.replace(finish("replay", paused), replay_ids=("r",))

    await store.finish(request)

    assert numbers(await send(store), "r") == [1, 2]


# Once for each command


async def test_a_command_that_ends_again_replays_nothing_more(store: Store) -> None:
    await record(store, "r")
    await send(store)
    await replay(store, "r")
    request = msgspec.structs.replace(finish("replay"), replay_ids=("r",))

    await store.finish(request)

    sent = await send(store)
    assert numbers(sent, "r") == [1, 2, 3, 4, 5]
    assert [event.exchange for event in sent].count("results") == 2


# To one queue


async def test_a_reply_gets_all_events_and_then_the_outcome_and_the_exchanges_nothing(
    store: Store,
) -> None:
    await record(store, "r")
    await record(store, "second", 1)
    first = [event for event in await send(store) if event.exchange != "results"]

    await replay(store, "second", "r", reply=TO_ME)

    published = await send(store)
    assert [event.exchange for event in published] == ["results"]
    replies = await send(store, replies=True)
    assert {(event.exchange, event.routing_key, event.correlation_id) for event in replies} == {
        ("reply", "my-queue", "my-correlation")
    }
    in_order = [event for event in first if event.subject == "second"]
    in_order += [event for event in first if event.subject == "r"]
    assert [event.event_id for event in replies[:-1]] == [event.event_id for event in in_order]
    assert [event.body for event in replies[:-1]] == [event.body for event in in_order]
    assert replies[-1].event_id == published[0].event_id


async def test_a_reply_also_gets_events_that_the_exchanges_did_not_get_yet(store: Store) -> None:
    await record(store, "r")

    await replay(store, "r", reply=TO_ME)

    assert numbers(await send(store, replies=True), "r") == [1, 2, 3, 4, 5]
    assert numbers(await send(store), "r") == [1, 2, 3, 4, 5]


async def test_replies_of_a_replay_wait_behind_one_that_the_queue_refused(store: Store) -> None:
    await record(store, "r")
    await send(store)
    await replay(store, "r", reply=TO_ME)
    await replay(
        store, "r", command_id="other", reply=msgspec.structs.replace(TO_ME, reply_to="its-queue")
    )
    page = await store.unsent(100, replies=True)
    replies = [event for event in page if event.subject == "replay"]
    refused = [
        Deferral(position=event.position, retry_at=START + 60, tries=1, losses=0, error="full")
        for event in replies[:2]
    ]
    await store.mark_page(PageMarks(deferred=refused), START)

    others = await send(store, replies=True)
    assert {event.subject for event in others} == {"other"}
    assert numbers(others, "r") == [1, 2, 3, 4, 5]
    later = await send(store, START + 61, replies=True)
    assert numbers(later, "r") == [1, 2, 3, 4, 5]
    assert [event.event_type for event in later][-1] == "command.succeeded.v1"


# Pages


@pytest.mark.parametrize("reply", [TO_ALL, TO_ME], ids=["exchanges", "reply"])
async def test_only_a_page_of_a_large_replay_waits_at_a_time(store: Store, reply: Reply) -> None:
    await record(store, "r", PAGE_EVENTS * 3)
    await send(store)
    await send(store, replies=True)
    await replay(store, "r", reply=reply)
    replies = reply.reply_to is not None
    pages = []
    while page := await store.unsent(5000, replies=replies, now=START):
        pages.append(numbers(page, "r"))
        marks = PageMarks(sent=[event.position for event in page])
        await store.mark_page(marks, START)
        assert (await store.outbox_depth()).deferred == 0
        await store.unsent(1, replies=False, now=START, resume=True)  # once a second

    assert list(chain.from_iterable(pages)) == list(range(1, PAGE_EVENTS * 3 + 4))
    assert max(map(len, pages)) <= PAGE_EVENTS


async def test_the_next_page_waits_for_the_page_before_it(store: Store) -> None:
    await record(store, "r", PAGE_EVENTS * 2)
    await send(store)
    await replay(store, "r")
    first = await store.unsent(5000, replies=False, now=START)

    for _ in range(3):
        again = await store.unsent(5000, replies=False, now=START, resume=True)
        assert again == first


async def test_neither_time_nor_a_release_lifts_the_barrier(store: Store) -> None:
    await record(store, "r", PAGE_EVENTS + 10)
    await send(store)
    await replay(store, "r")
    deferred_events = await store.unsent(5000, replies=False, now=START)
    late = START
    for _ in range(5):
        late += 3000
        release = Release(exchange="files", routing_key="track.completed", limit=9)
        marks = PageMarks(released=[release])
        assert await store.unsent(5000, marks=marks, replies=False, now=late) == deferred_events
        assert await store.unsent(5000, replies=False, now=late, resume=True) == deferred_events
    assert numbers(await send(store, late), "r") == list(range(1, PAGE_EVENTS + 14))


async def test_a_replay_during_a_replay_takes_its_place(store: Store, engine: sa.Engine) -> None:
    count = PAGE_EVENTS * 2
    await record(store, "r", count)
    await send(store)
    await replay(store, "r", command_id="one")
    page = await store.unsent(50, replies=False)
    await store.mark_page(PageMarks(sent=[event.position for event in page]), START)

    await replay(store, "r", command_id="two")

    assert numbers(await send(store), "r") == list(range(1, count + 4))
    assert rows(engine, replays.c.barrier) == []


# Deleted rows


async def test_events_that_are_partly_removed_are_replayed_as_far_as_they_are_kept(
    store: Store, engine: sa.Engine
) -> None:
    await store.apply([observation("r")])
    await send(store, START - 100)
    await record(store, "r", 1, at=1)
    await send(store)
    while await store.prune_sent(PruneSentRequest(before=START - 50)):
        pass

    assert await store.find_replayable(["r", "nobody"]) == {"r"}
    await replay(store, "r")
    assert numbers(await send(store), "r") == [2, 3, 4]

    with engine.begin() as connection:
        connection.execute(sa.delete(outbox))
    assert await store.find_replayable(["r"]) == frozenset()


async def test_a_recording_keeps_the_newest_copies_of_a_replay(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "r")
    await send(store)
    await replay(store, "r")

    ((_, text),) = rows(engine, recordings.c.recording_id, recordings.c.event_positions)
    (block,) = ranges_of(text)
    positions = [position for position, subject in rows(engine, outbox.c.position, outbox.c.subject)
                 if subject == "r"]  # fmt: skip
    assert positions[-5:] == list(range(block.first, block.last + 1))
