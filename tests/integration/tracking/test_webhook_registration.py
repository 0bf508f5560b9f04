"""One subscription per URL, however often and by however many replicas it is requested."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from worker.aio import cancel_all
from worker.budget.budget import Budget
from worker.domain.errors import Unavailable
from worker.domain.rate import Rate
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.store.cursors import Cursor, missed_webhook_cursor
from worker.store.store import Store
from worker.tracking.webhook_registration import (
    callback_url,
    find_subscriptions,
    keep_registered,
    register,
    register_as_leader,
    remove,
)

URL = "https://recordings.example.com/webhooks/realtimekit"
EVENTS = ("recording.statusUpdate", "meeting.started")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[RealtimeKitClient]:
    api = api_of(sandbox)
    yield api
    await api.aclose()


def api_of(sandbox: Sandbox, budget: Budget | None = None) -> RealtimeKitClient:
    return RealtimeKitClient(
        base_url=sandbox.base_url,
        account_id="account",
        app_id="app",
        token=lambda: "token",
        timeout=20.0,
        retry=RequestRetry(attempts=1),
        budget=budget,
    )


@pytest.mark.parametrize(
    "registered",
    [
        "https://Recordings.Example.com/webhooks/realtimekit",
        "https://recordings.example.com:443/webhooks/realtimekit",
    ],
)
async def test_a_subscription_in_another_spelling_of_the_url_is_not_doubled(
    api: RealtimeKitClient, registered: str
) -> None:
    await api.create_webhook(name="recording-worker", url=registered, events=EVENTS)
    assert (await register(api, URL)).action == "unchanged"
    assert len(await api.list_webhooks()) == 1


def asked(sandbox: Sandbox) -> list[str]:
    return [request.operation for request in sandbox.request_log.requests]


@pytest.mark.parametrize(
    ("public_url", "app", "url"),
    [
        ("https://a.example", "default", "https://a.example/webhooks/realtimekit"),
        ("https://a.example/", "eu", "https://a.example/webhooks/realtimekit?app=eu"),
        ("https://a.example/w/", "default", "https://a.example/w/webhooks/realtimekit"),
        (
            "https://a.example/w/webhooks/realtimekit/",
            "default",
            "https://a.example/w/webhooks/realtimekit",
        ),
    ],
)
def test_the_callback_url_has_the_path_and_the_app(public_url: str, app: str, url: str) -> None:
    assert callback_url(public_url, app) == url


async def test_a_missing_webhook_is_added(api: RealtimeKitClient) -> None:
    registration = await register(api, URL)
    (webhook,) = await api.list_webhooks()
    assert registration.webhook == webhook
    assert (registration.action, registration.removed) == ("added", 0)
    assert (webhook.name, webhook.url) == ("recording-worker", URL)
    assert (webhook.events, webhook.enabled) == (EVENTS, True)


async def test_registering_again_only_lists(api: RealtimeKitClient, sandbox: Sandbox) -> None:
    await register(api, URL)
    before = len(asked(sandbox))
    assert (await register(api, URL)).action == "unchanged"
    assert asked(sandbox)[before:] == ["list_webhooks"]


@pytest.mark.parametrize(
    ("events", "enabled", "name"),
    [
        (EVENTS, False, "recording-worker"),
        (("meeting.ended",), True, "recording-worker"),
        (("meeting.ended", *EVENTS), True, "recording-worker"),
        (EVENTS, True, "by hand"),
    ],
)
async def test_a_different_webhook_is_corrected_and_enabled(
    api: RealtimeKitClient, events: tuple[str, ...], enabled: bool, name: str
) -> None:
    first = await api.create_webhook(name=name, url=URL, events=events, enabled=enabled)
    assert (await register(api, URL)).action == "changed"
    (webhook,) = await api.list_webhooks()
    assert webhook.webhook_id == first.webhook_id
    assert (webhook.name, webhook.events, webhook.enabled) == ("recording-worker", EVENTS, True)


async def test_duplicates_are_removed_and_webhooks_of_others_are_kept(
    api: RealtimeKitClient,
) -> None:
    foreign = await api.create_webhook(name="theirs", url="https://b.example/hook", events=EVENTS)
    for _ in range(3):
        await api.create_webhook(name="recording-worker", url=URL, events=EVENTS)
    assert (await register(api, URL)).removed == 2
    assert len(await find_subscriptions(api, URL)) == 1
    assert foreign in await api.list_webhooks()
    assert len(await remove(api, URL)) == 1
    assert await api.list_webhooks() == (foreign,)


async def test_concurrent_registrations_leave_one_webhook(api: RealtimeKitClient) -> None:
    registrations = await asyncio.gather(*(register(api, URL) for _ in range(5)))
    (webhook,) = await api.list_webhooks()
    assert {each.webhook.webhook_id for each in registrations} == {webhook.webhook_id}


async def test_removing_a_missing_webhook_does_nothing(api: RealtimeKitClient) -> None:
    assert await remove(api, URL) == ()


async def test_only_the_leader_registers(
    api: RealtimeKitClient,
) -> None:
    gone = asyncio.Event()

    async def stay(_seconds: float) -> None:
        gone.set()
        await asyncio.Event().wait()

    others = [
        asyncio.create_task(
            register_as_leader(api, URL, app="default", is_leader=lambda: False, sleep=stay)
        )
        for _ in range(2)
    ]
    await register_as_leader(api, URL, app="default", is_leader=lambda: True)
    await gone.wait()
    for other in others:
        other.cancel()
    assert len(await find_subscriptions(api, URL)) == 1


async def test_registration_is_retried_with_growing_delays(
    api: RealtimeKitClient, sandbox: Sandbox
) -> None:
    away = sandbox.faults.add(Fault(kind="refuse", operation="list_webhooks", status=503))
    with pytest.raises(Unavailable):
        await register(api, URL)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            sandbox.faults.clear(away)

    await register_as_leader(api, URL, app="default", is_leader=lambda: True, sleep=sleep)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert len(await find_subscriptions(api, URL)) == 1


async def test_a_registration_whose_answer_was_lost_is_not_repeated(
    api: RealtimeKitClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add(Fault(kind="lost_reset", operation="add_webhook", count=1))

    async def sleep(_seconds: float) -> None: ...

    await register_as_leader(api, URL, app="default", is_leader=lambda: True, sleep=sleep)
    assert asked(sandbox).count("add_webhook") == 1
    assert len(await find_subscriptions(api, URL)) == 1


async def test_registration_waits_for_a_database_that_fails(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    folder, away = tmp_path / "volume", tmp_path / "away"
    folder.mkdir()
    store = await Store.open(f"sqlite:///{folder}/state.db", source="test")
    budget = Budget(store, "account", [Rate(100, 60.0)])
    serving = asyncio.create_task(budget.run())
    api = api_of(sandbox, budget)

    async def sleep(_seconds: float) -> None:
        away.rename(folder)

    folder.rename(away)
    await register_as_leader(api, URL, app="default", is_leader=lambda: True, sleep=sleep)
    assert len(await find_subscriptions(api, URL)) == 1
    await cancel_all([serving])
    await api.aclose()
    await store.close()


async def test_a_removed_webhook_is_added_again_after_a_change_that_none_reported(
    api: RealtimeKitClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/state.db", source="test")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 1:
            await remove(api, URL)
        elif len(pauses) == 2:
            assert await find_subscriptions(api, URL) == []
            missed = Cursor(name=missed_webhook_cursor("default"), at=store.now())
            await store.set_cursor(missed)
        else:
            await asyncio.Event().wait()

    keeping = asyncio.create_task(
        keep_registered(api, URL, store, app="default", is_leader=lambda: True, sleep=sleep)
    )
    await eventually(lambda: len(pauses) == 3)
    await cancel_all([keeping])
    assert len(await find_subscriptions(api, URL)) == 1
    await store.close()
