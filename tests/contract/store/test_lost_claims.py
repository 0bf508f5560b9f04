"""Claims that the database lost, as in a failover to a standby. On both engines."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.store_requests import claim_request, success_of
from worker.store.claims import ClaimRequest
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.parking import KeptMessage, ParkRequest
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

NOW = 1000.0
CALLED_AT = NOW - 5.0
SETTLE_SECONDS = 30.0


def claim(**more: Any) -> ClaimRequest:
    values: dict[str, Any] = {
        "command_id": "start",
        "now": NOW,
        "reconcile_seconds": SETTLE_SECONDS,
        "abandoned_before": NOW - 3600.0,
        "app": "default",
        "slot": "default/m1/track",
        "digest": "first",
        **more,
    }
    return claim_request(**values)


STOP = {
    "command_id": "stop",
    "command_type": "stop_recording",
    "slot": None,
    "start_id": "start",
    "cancels_starts": True,
    "digest": "stop",
}


def finish(command_id: str) -> FinishRequest:
    finished = success_of(command_id, at=datetime.fromtimestamp(NOW, UTC))
    return msgspec.structs.replace(finished, command_type="start_track_recording")


async def test_a_start_that_may_have_called_in_a_lost_attempt_searches_before_it_calls(
    store: Store,
) -> None:
    again = await store.claim(claim(called_at=CALLED_AT))
    assert (again.verdict, again.called_at, again.may_call) == ("again", CALLED_AT, False)
    release = ReleaseRequest(command_id="start", uncertain=True, last_error="null", owner="me")
    await store.release(release)
    later = NOW + SETTLE_SECONDS
    settled = await store.claim(claim(called_at=CALLED_AT, now=later))
    assert (settled.called_at, settled.may_call) == (CALLED_AT, True)


async def test_a_lost_call_is_kept_while_another_start_has_the_slot(store: Store) -> None:
    await store.claim(claim(command_id="rival"))
    assert (await store.claim(claim(called_at=CALLED_AT))).verdict == "busy"
    assert (await store.claim(claim(digest="second"))).verdict == "id_in_use"
    await store.release(ReleaseRequest(command_id="rival", uncertain=False, last_error="null"))
    again = await store.claim(claim())
    assert (again.verdict, again.called_at, again.may_call) == ("again", CALLED_AT, False)


async def test_a_stop_before_the_next_delivery_of_a_start_does_not_end_it_unsearched(
    store: Store,
) -> None:
    await store.claim(claim(**STOP))
    start = await store.claim(claim(called_at=CALLED_AT))
    assert (start.verdict, start.cancelled_by) == ("again", "stop")
    assert (start.called_at, start.may_call) == (CALLED_AT, False)


async def test_a_stop_of_the_meeting_before_the_next_delivery_of_a_start_cancels_it(
    store: Store,
) -> None:
    stop = {"command_id": "stop", "command_type": "stop_recording", "slot": None, "digest": "stop"}
    rivals = {"rival_slots": ("default/m1/track",), "cancels_starts": True}
    await store.claim(claim(**stop, **rivals))
    start = await store.claim(claim(called_at=CALLED_AT, first_seen=CALLED_AT))
    assert (start.verdict, start.cancelled_by) == ("again", "stop")
    assert (start.called_at, start.may_call) == (CALLED_AT, False)


@pytest.mark.parametrize(("after_parking", "called_at"), [(5.0, NOW + 5.0), (-5.0, None)])
async def test_a_start_that_was_parked_searches_before_it_calls_if_it_called_after_that(
    store: Store, after_parking: float, called_at: float | None
) -> None:
    """The database has lost the claim that ended the wait."""
    await store.claim(claim())
    await store.park(
        ParkRequest(
            command_id="start",
            owner="me",
            waits_for="session",
            app="default",
            subject="m1",
            now=NOW,
            due_at=NOW,
            ignore_lists_until=0.0,
            message=KeptMessage(body=b"{}", envelope="{}"),
            last_error="{}",
            reply=Reply(),
        )
    )
    (due,) = await store.due_commands(NOW)
    called = {"called_at": NOW + after_parking, "unparked": due.position}
    again = await store.claim(claim(now=NOW + 10.0, **called))
    assert (again.verdict, again.called_at) == ("again", called_at)
    assert again.may_call == (called_at is None)


@pytest.mark.parametrize(
    "others",
    [{"digest": "second"}, {"slot": None, "command_type": "sync_recording"}],
    ids=["another body", "no start"],
)
async def test_only_the_body_of_a_start_brings_its_call_back(
    store: Store, others: dict[str, Any]
) -> None:
    await store.claim(claim(reserve_only=True))
    await store.claim(claim(called_at=CALLED_AT, **others))
    first = await store.claim(claim())
    assert first.called_at in {None, NOW}


async def test_a_command_whose_claim_is_lost_ends_with_others_and_is_known_afterwards(
    store: Store, engine: sa.Engine
) -> None:
    await store.claim(claim(command_id="kept"))
    await store.claim(claim())
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM inbox WHERE command_id = 'start'"))
    await asyncio.gather(*(store.finish(finish(command_id)) for command_id in ("kept", "start")))
    assert (await store.claim(claim(command_id="kept"))).verdict == "done"
    assert (await store.claim(claim())).verdict == "done"
    unsent = await store.unsent(10, now=NOW)
    assert len(unsent) == 4, "the outcomes, and both once more for the repeats"
