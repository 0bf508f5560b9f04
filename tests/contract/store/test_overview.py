"""The overview of the state, read without a store, on both engines."""

import time
from pathlib import Path

import pytest

from recording_schemas import Status
from tests.contract.store.test_pruning import observation
from tests.state_queries import read_state
from worker.budget.ledger import TokenRequest
from worker.domain.errors import StoreUnavailable
from worker.domain.rate import Rate
from worker.store.admin.overview import OpenCount, read_overview
from worker.store.cursors import Cursor, missed_webhook_cursor, sweep_cursor, webhook_cursor
from worker.store.leases import LEADER, LeaseRequest
from worker.store.outbox_marks import Deferral, PageMarks
from worker.store.store import Store


async def test_an_empty_state_has_no_leader_and_nothing_that_waits(
    store: Store, database_url: str
) -> None:
    overview = read_state(database_url, read_overview)

    assert (overview.leader, overview.replicas) == (None, 0)
    assert [*overview.recordings, *overview.budgets, *overview.sweeps] == []
    assert (overview.outbox.events, overview.parked) == (0, {})
    assert abs(overview.at - time.time()) < 60


async def test_the_leader_is_the_one_whose_lease_lasts_and_replicas_are_counted(
    store: Store, database_url: str
) -> None:
    now = store.now()
    await store.acquire_lease(lease("dead", now - 60))
    await store.acquire_lease(lease("me", now))
    await store.acquire_lease(lease("other", now))

    overview = read_state(database_url, read_overview)

    assert overview.leader is not None
    assert (overview.leader.owner, overview.replicas) == ("me", 2)
    assert 0 < overview.leader.until - overview.at <= 30


async def test_open_recordings_are_counted_by_app_and_status(
    store: Store, database_url: str
) -> None:
    await store.apply([observation("a"), observation("b"), observation("c", Status.PAUSED)])
    await store.apply([observation("d", Status.UPLOADED)])
    await store.apply([observation("e", Status.ERRORED, files=())])

    overview = read_state(database_url, read_overview)

    assert overview.recordings == (
        OpenCount(app="default", status=Status.PAUSED, live=True, count=1),
        OpenCount(app="default", status=Status.RECORDING, live=True, count=2),
        OpenCount(app="default", status=Status.UPLOADED, live=False, count=1),
    )


async def test_the_outbox_shows_refused_and_set_aside_events(
    store: Store, database_url: str
) -> None:
    await store.apply([observation("a"), observation("b"), observation("c")])
    first, second, *_ = await store.unsent(10)
    refused = [
        Deferral(position=event.position, retry_at=retry_at, tries=1, losses=0, error="full")
        for event, retry_at in ((first, store.now() + 60), (second, -1.0))
    ]
    await store.mark_page(PageMarks(deferred=refused), store.now())

    outbox = read_state(database_url, read_overview).outbox

    assert (outbox.events, outbox.deferred, outbox.set_aside) == (2, 1, 1)


async def test_a_budget_shows_what_is_left_in_each_window(store: Store, database_url: str) -> None:
    rates = (Rate(1200, 300.0), Rate(10, 5.0))
    request = TokenRequest(rates=rates, needed=(3, 0, 1), paused_for=40.0)
    await store.acquire_tokens("account", request)

    (usage,) = read_state(database_url, read_overview).budgets

    assert usage.account == "account"
    assert usage.paused_until > store.now() + 30
    assert [(window.requests, window.seconds) for window in usage.windows] == [
        (1200, 300.0),
        (10, 5.0),
    ]
    assert [window.requests - window.left for window in usage.windows] == [
        window.spent for window in usage.windows
    ]
    assert [window.spent for window in usage.windows] == [3, 3]  # during a pause only stops


async def test_sweeps_and_webhooks_are_shown_by_app_without_former_apps(
    store: Store, database_url: str
) -> None:
    now = store.now()
    for name, at in (
        (sweep_cursor("eu"), now - 4),
        (webhook_cursor("eu"), now - 9),
        (missed_webhook_cursor("eu"), now - 30),
        (sweep_cursor("us/1"), now - 5),
        (sweep_cursor("retired"), now - 200_000),
        ("followed/eu", now),
    ):
        await store.set_cursor(Cursor(name=name, at=at))

    eu, us = read_state(database_url, read_overview).sweeps

    assert (eu.app, eu.swept_at, eu.webhook_at, eu.missed_webhook_at) == (
        *("eu", now - 4),
        *(now - 9, now - 30),
    )
    assert (us.app, us.webhook_at, us.missed_webhook_at) == ("us/1", None, None)


def test_a_database_that_no_worker_has_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no worker has used it yet"):
        read_state(f"sqlite:///{tmp_path / 'state.db'}", read_overview)


def lease(owner: str, now: float) -> LeaseRequest:
    return LeaseRequest(name=LEADER, owner=owner, now=now, until=now + 30)
