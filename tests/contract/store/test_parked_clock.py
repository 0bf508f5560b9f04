"""Commands that were parked while the shared clock was a month ahead for a moment."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests.contract.store.test_clock_ahead import MONTH, NOW, minutes, prune, store
from tests.contract.store.test_pruning import claim, rows
from worker.store.database.schema import inbox, parked
from worker.store.outbox import Reply
from worker.store.parking import KeptMessage, LiveSessions, ParkRequest
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

__all__ = ["store"]

WAIT = 86_400.0


async def park(
    store: Store, at: datetime, command_id: str = "c", *, due_in: float = WAIT, **more: Any
) -> None:
    await store.claim(claim(command_id, slot="m/track", now=at.timestamp()))
    assert await store.park(park_request(at, command_id, due_in=due_in, **more))


def park_request(
    at: datetime, command_id: str = "c", *, due_in: float = WAIT, **more: Any
) -> ParkRequest:
    now = at.timestamp()
    request: dict[str, Any] = {
        "command_id": command_id,
        "owner": "me",
        "waits_for": "session",
        "app": "default",
        "subject": "m",
        "now": now,
        "due_at": now + due_in,
        "ignore_lists_until": 0.0,
        "message": KeptMessage(body=b"{}", envelope="{}"),
        "last_error": "{}",
        "reply": Reply(),
    }
    return ParkRequest(**(request | more))


async def test_their_wait_counts_from_the_present(store: Store, engine: sa.Engine) -> None:
    await park(store, NOW + MONTH)
    await prune(store, *minutes(NOW + MONTH, 2), *minutes(NOW, 12))
    repaired = (NOW + timedelta(minutes=11)).timestamp()
    assert rows(engine, parked.c.due_at) == [repaired + WAIT]
    assert rows(engine, parked.c.parked_at) == [repaired]
    assert rows(engine, inbox.c.waits_since) == [repaired]


async def test_commands_that_are_due_stay_due(store: Store, engine: sa.Engine) -> None:
    await park(store, NOW + MONTH)
    await store.make_starts_due(LiveSessions(app="default", meeting_ids=["m"]))
    await prune(store, *minutes(NOW + MONTH, 2), *minutes(NOW, 12))
    assert rows(engine, parked.c.due_at) == [0.0]


async def test_lists_of_sessions_count_again(store: Store) -> None:
    await park(store, NOW + MONTH, ignore_lists_until=(NOW + MONTH).timestamp() + 60)
    await prune(store, *minutes(NOW + MONTH, 2), *minutes(NOW, 12))
    asked_at = (NOW + timedelta(minutes=13)).timestamp()
    sessions = LiveSessions(app="default", meeting_ids=["m"], asked_at=asked_at)
    assert await store.make_starts_due(sessions) == 1


async def test_the_age_of_a_start_that_was_woken_then_counts_from_the_present(
    store: Store,
) -> None:
    await park(store, NOW + MONTH)
    (due,) = await woken(store)
    ahead = (NOW + MONTH).timestamp()
    await store.claim(claim("c", slot="m/track", now=ahead, unparked=due))
    await store.release(ReleaseRequest(command_id="c", uncertain=False, last_error="{}"))
    await prune(store, *minutes(NOW + MONTH, 2), *minutes(NOW, 12))
    now = (NOW + timedelta(minutes=12)).timestamp()
    again = await store.claim(claim("c", slot="m/track", now=now))
    assert again.age_from <= now


async def woken(store: Store) -> list[int]:
    await store.make_starts_due(LiveSessions(app="default", meeting_ids=["m"]))
    due = [command.position for command in await store.due_commands(NOW.timestamp())]
    await store.remove_published(due)
    return due


async def test_rows_parked_by_a_right_clock_stay(store: Store, engine: sa.Engine) -> None:
    await park(store, NOW, ignore_lists_until=NOW.timestamp() + 60)
    await prune(store, *minutes(NOW, 3))
    assert rows(engine, parked.c.due_at) == [NOW.timestamp() + WAIT]
    assert rows(engine, parked.c.ignore_lists_until) == [NOW.timestamp() + 60]
    assert rows(engine, inbox.c.waits_since) == [NOW.timestamp()]
