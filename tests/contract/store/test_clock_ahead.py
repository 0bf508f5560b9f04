"""The shared clock is a month ahead for a moment. No work is lost, and none waits."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.contract.store.test_pruning import claim, observation, record, rows, send_all
from worker.domain.recording import StartContext
from worker.domain.track_files import TrackFile
from worker.store.admin.copy import copy_store
from worker.store.claims import ClaimResult
from worker.store.cursors import Cursor
from worker.store.database.schema import inbox, outbox, recordings
from worker.store.due_reads import DueQuery
from worker.store.leader import LeaderElector
from worker.store.leases import LeaseRequest
from worker.store.outbox_marks import Deferral, PageMarks
from worker.store.pruner import Pruner, Retention
from worker.store.read_schedule import ScheduledRead
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

NOW: Final = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
MONTH: Final = timedelta(days=31)
DAY: Final = 86_400.0
KEEP: Final = Retention(sent_seconds=DAY, finished_seconds=30 * DAY)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test")
    await prune(opened, NOW - timedelta(days=60))  # it has been pruned for long
    await prune(opened, NOW - timedelta(minutes=1))
    yield opened
    await opened.close()


async def prune(store: Store, *moments: datetime) -> None:
    for moment in moments:
        pruner = Pruner(store, KEEP, now=moment.timestamp, read_ahead=2 * DAY)
        await pruner.prune_once(lambda: True)


def minutes(start: datetime, count: int) -> list[datetime]:
    return [start + timedelta(minutes=number) for number in range(1, count + 1)]


async def test_nothing_is_pruned_that_was_new_by_the_clock_before(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "new", at=NOW)
    await send_all(store, NOW.timestamp())
    kept = (rows(engine, outbox.c.position), rows(engine, inbox.c.command_id))
    await prune(store, NOW, *minutes(NOW + MONTH, 5), *minutes(NOW, 5))
    assert (rows(engine, outbox.c.position), rows(engine, inbox.c.command_id)) == kept
    assert rows(engine, recordings.c.recording_id) == ["new"]


async def test_rows_written_by_the_clock_ahead_are_kept_too(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "ahead", at=NOW + MONTH)
    await send_all(store, (NOW + MONTH).timestamp())
    await prune(store, *minutes(NOW, 15))
    assert rows(engine, recordings.c.recording_id) == ["ahead"]
    assert rows(engine, inbox.c.command_id) == ["start-ahead"]
    assert rows(engine, outbox.c.position)


async def test_a_new_leader_that_knows_only_the_clock_ahead_prunes_nothing(
    database_url: str, store: Store, engine: sa.Engine
) -> None:
    await record(store, "new", at=NOW)
    await send_all(store, NOW.timestamp())
    await store.close()
    successor = await Store.open(database_url, source="test")
    await prune(successor, *minutes(NOW + MONTH, 3))
    await successor.close()
    assert rows(engine, recordings.c.recording_id) == ["new"]
    assert rows(engine, inbox.c.command_id) == ["start-new"]


async def test_a_clock_that_is_set_right_by_a_month_prunes_again_after_the_time_to_keep(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "new", at=NOW)
    await send_all(store, NOW.timestamp())
    await prune(store, NOW + MONTH, NOW + MONTH + timedelta(hours=12))
    assert rows(engine, outbox.c.position)
    later = NOW + MONTH
    while later < NOW + MONTH + timedelta(days=31):  # as if it had been pruned every minute
        later += timedelta(days=1)
        await store.set_cursor(Cursor(name="prune/last", at=later.timestamp() - 60))
        await prune(store, later)
    assert not rows(engine, outbox.c.position)
    assert not rows(engine, inbox.c.command_id)


# Leases


async def test_a_leaders_lease_of_a_clock_that_was_ahead_ends_in_time(store: Store) -> None:
    ahead = (NOW + MONTH).timestamp()
    dead = LeaseRequest(name="leader", owner="dead", now=ahead, until=ahead + 15)
    assert await store.acquire_lease(dead)
    now = [NOW.timestamp()]
    successor = LeaderElector(store, owner="successor", lease_seconds=15, now=lambda: now[0])
    await successor.try_acquire()
    assert not successor.is_leader(), "the other one may be alive"
    now[0] += 14
    await successor.try_acquire()
    assert not successor.is_leader()
    now[0] += 2
    await successor.try_acquire()
    assert successor.is_leader()


async def test_only_the_lease_that_is_asked_for_is_shortened(store: Store) -> None:
    ahead, now = (NOW + MONTH).timestamp(), NOW.timestamp()
    for name in ("leader", "other"):
        request = LeaseRequest(name=name, owner="dead", now=ahead, until=ahead + 15)
        assert await store.acquire_lease(request)
    await store.acquire_lease(LeaseRequest(name="leader", owner="me", now=now, until=now + 15))
    for name, is_free in (("leader", True), ("other", False)):
        later = LeaseRequest(name=name, owner="me", now=now + 16, until=now + 31)
        assert await store.acquire_lease(later) is is_free


async def test_a_commands_lease_of_a_clock_that_was_ahead_ends_in_time(store: Store) -> None:
    await store.claim(claim("c", slot="m/track", owner="dead", now=(NOW + MONTH).timestamp()))

    async def attempt(seconds: float) -> ClaimResult:
        now = NOW.timestamp() + seconds
        return await store.claim(claim("c", slot="m/track", owner="successor", now=now))

    assert (await attempt(0)).verdict == "busy"
    assert (await attempt(59)).verdict == "busy"
    again = await attempt(61)
    assert again.verdict == "again"
    assert again.first_seen_at == NOW.timestamp() + 61, "its age counts from now"


async def test_the_owner_of_a_lease_that_ends_in_a_month_loses_it_to_another_claim(
    store: Store, engine: sa.Engine
) -> None:
    await store.claim(claim("c", slot="m/track", owner="frozen", now=(NOW + MONTH).timestamp()))
    await store.claim(claim("c", slot="m/track", owner="other", now=NOW.timestamp()))
    assert rows(engine, inbox.c.lease_until) == [NOW.timestamp() + 60.0]


async def test_a_database_is_copied_although_a_lease_ends_in_a_month(
    postgresql_url: str, sqlite_url: str
) -> None:
    store = await Store.open(postgresql_url, source="test")
    await store.apply([observation("r")])
    ahead = store.now() + MONTH.total_seconds()
    await store.acquire_lease(LeaseRequest(name="leader", owner="a", now=ahead, until=ahead + 15))
    await store.close()
    copied = copy_store(postgresql_url, f"{sqlite_url}.copy", lambda *_: None)
    assert {table.table: table.rows for table in copied.tables}["recordings"] == 1


# Open work


async def written_ahead(store: Store) -> None:
    """A refused event, an awaited file, a scheduled read and a cursor of the clock ahead."""
    ahead = NOW + MONTH
    await store.apply([observation("a", at=ahead), observation("u", Status.UPLOADED, at=ahead)])
    (first, *_) = await store.unsent(10)
    late = Deferral(
        position=first.position, retry_at=ahead.timestamp(), tries=1, losses=0, error="full"
    )
    await store.mark_page(PageMarks(deferred=[late]), ahead.timestamp())
    await store.schedule_read(ScheduledRead(ids=("a",), at=ahead.timestamp(), postpone=True))
    await store.set_cursor(Cursor(name="stranger/default", at=ahead.timestamp()))


async def test_times_of_a_clock_that_was_ahead_are_brought_back_when_it_is_steady(
    store: Store, engine: sa.Engine
) -> None:
    await written_ahead(store)
    await prune(store, *minutes(NOW + MONTH, 2), *minutes(NOW, 9))
    assert rows(engine, recordings.c.changed_at) == [(NOW + MONTH).timestamp()] * 2
    await prune(store, *minutes(NOW + timedelta(minutes=9), 3))
    now = (NOW + timedelta(minutes=11)).timestamp()
    assert rows(engine, recordings.c.changed_at) == [now, now]
    assert rows(engine, recordings.c.first_seen_at) == [now, now]
    assert rows(engine, recordings.c.read_at) == [now, now]
    assert {retry_at for retry_at in rows(engine, outbox.c.retry_at) if retry_at} == {now}
    assert await store.cursor("stranger/default") == now
    due = await store.find_due_reads(
        DueQuery(app="default", now=now, limit=10, swept_at=0.0, max_single_reads=None)
    )
    states = {recording.recording_id: recording for recording in due.reads}
    assert states["u"].files_awaited_since == NOW + timedelta(minutes=11)
    assert states["u"].changed_at == states["a"].changed_at == NOW + timedelta(minutes=11)


async def test_nothing_is_brought_back_while_the_clock_is_behind_for_a_moment(
    store: Store, engine: sa.Engine
) -> None:
    await written_ahead(store)
    before = rows(engine, recordings.c.changed_at)
    behind, right = minutes(NOW, 5), minutes(NOW + MONTH, 15)
    await prune(store, NOW + MONTH, *behind, *right)
    assert rows(engine, recordings.c.changed_at) == before


async def test_a_read_that_is_scheduled_for_tomorrow_keeps_its_time(
    store: Store, engine: sa.Engine
) -> None:
    await store.apply([observation("a", at=NOW)])
    tomorrow = (NOW + timedelta(days=1)).timestamp()
    await store.schedule_read(ScheduledRead(ids=("a",), at=tomorrow, postpone=True))
    await prune(store, *minutes(NOW, 3))
    assert rows(engine, recordings.c.read_at) == [tomorrow]


@pytest.mark.parametrize("api_says_when", [True, False])
async def test_a_stop_planned_by_a_clock_that_was_ahead_is_sent_in_time(
    store: Store, engine: sa.Engine, api_says_when: bool
) -> None:
    began = NOW - timedelta(seconds=5) if api_says_when else None
    start = StartContext(start_id="s", max_seconds=3600)
    started = observation("a", at=NOW + MONTH)
    snapshot = msgspec.structs.replace(started.snapshot, started_time=began)
    await store.apply([msgspec.structs.replace(started, snapshot=snapshot, start=start)])
    await prune(store, *minutes(NOW + MONTH, 2), *minutes(NOW, 12))
    repaired = NOW + timedelta(minutes=11)
    expected = (began or repaired) + timedelta(seconds=3600)
    assert rows(engine, recordings.c.stop_at) == [expected.timestamp()]


async def test_a_stop_planned_by_a_right_clock_stays(store: Store, engine: sa.Engine) -> None:
    start = StartContext(start_id="s", max_seconds=86_400)
    await store.apply([msgspec.structs.replace(observation("a", at=NOW), start=start)])
    await prune(store, *minutes(NOW, 3))
    assert rows(engine, recordings.c.stop_at) == [(NOW + timedelta(days=1)).timestamp()]


# A clock that was set back by less time than the next scheduled work


async def test_reads_and_events_do_not_wait_for_an_hour_by_which_the_clock_was_set_back(
    store: Store, engine: sa.Engine
) -> None:
    await store.apply([observation("u", Status.UPLOADED, at=NOW)])
    (event, *_) = await store.unsent(10)
    late = Deferral(
        position=event.position, retry_at=NOW.timestamp(), tries=1, losses=0, error="full"
    )
    await store.mark_page(PageMarks(deferred=[late]), NOW.timestamp())
    back = NOW - timedelta(hours=1)
    await prune(store, NOW, *minutes(back, 12))
    assert rows(engine, recordings.c.read_at) == [(back + timedelta(minutes=11)).timestamp()]
    assert max(rows(engine, outbox.c.retry_at)) == (back + timedelta(minutes=11)).timestamp()


async def test_a_clock_that_is_right_again_after_an_hour_behind_brings_nothing_back(
    store: Store, engine: sa.Engine
) -> None:
    await store.apply([observation("a", at=NOW)])
    tomorrow = (NOW + timedelta(days=1)).timestamp()
    await store.schedule_read(ScheduledRead(ids=("a",), at=tomorrow, postpone=True))
    await prune(store, NOW, *minutes(NOW - timedelta(hours=1), 5), *minutes(NOW, 15))
    assert rows(engine, recordings.c.read_at) == [tomorrow]


# Starts and stops


async def test_a_start_that_was_called_by_a_clock_ahead_may_call_again_after_it_settled(
    store: Store,
) -> None:
    ahead = (NOW + MONTH).timestamp()
    await store.claim(claim("c", slot="m/track", owner="a", now=ahead))
    await store.release(
        ReleaseRequest(command_id="c", uncertain=True, last_error="{}", called_until=ahead)
    )
    await prune(store, NOW + MONTH, *minutes(NOW, 12))

    async def may_call(seconds: float) -> bool:
        now = (NOW + timedelta(minutes=11)).timestamp() + seconds
        return (await store.claim(claim("c", slot="m/track", owner="a", now=now))).may_call

    assert not await may_call(1)
    await store.release(ReleaseRequest(command_id="c", uncertain=True, last_error="{}"))
    assert await may_call(31)


@pytest.mark.parametrize(
    ("stopped_at", "now"),
    [(NOW + MONTH, NOW), (NOW, NOW - timedelta(hours=1)), (NOW + timedelta(hours=1), NOW)],
    ids=["month ahead", "hour behind", "hour ahead"],
)
async def test_a_stop_of_a_meeting_by_another_clock_cancels_no_later_start(
    store: Store, stopped_at: datetime, now: datetime
) -> None:
    stop = claim(
        "stop",
        command_type="stop_recording",
        app="default",
        rival_slots=("m/track", "m/composite"),
        cancels_starts=True,
        now=stopped_at.timestamp(),
    )
    await store.claim(stop)
    first_seen = now.timestamp() + 60
    later = claim("later", slot="m/track", first_seen=first_seen, now=first_seen + 5)
    assert (await store.claim(later)).cancelled_by is None


async def test_a_stop_planned_an_hour_ahead_is_corrected_when_the_clock_is_set_back(
    store: Store, engine: sa.Engine
) -> None:
    start = StartContext(start_id="s", max_seconds=3600)
    ahead = NOW + timedelta(hours=1)
    await store.apply([msgspec.structs.replace(observation("a", at=ahead), start=start)])
    await prune(store, *minutes(ahead, 2), *minutes(NOW, 12))
    (stop_at,) = rows(engine, recordings.c.stop_at)
    assert stop_at <= (NOW + timedelta(minutes=12, seconds=3600)).timestamp()


async def test_the_search_for_files_that_began_a_month_ahead_counts_from_the_present(
    store: Store,
) -> None:
    file = TrackFile(file_name="a.webm", media_kind="audio", user_id="u", download_url="u")
    ahead = NOW + MONTH
    listed = observation("a", Status.UPLOADED, at=ahead, files=(file,), completeness="lacking")
    await store.apply([listed])
    await prune(store, *minutes(ahead, 2), *minutes(NOW, 12))
    search = (await store.find_tracked(["a"]))["a"].recording.file_search
    assert search is not None
    assert search.listed_since <= NOW + timedelta(minutes=12)
