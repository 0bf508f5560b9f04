"""Webhooks: signatures, repeats, faults and payloads."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from recording_sandbox.model.faults import Fault
from tests.contract.sandbox.sandbox_client import Client, connected_client


class Delivery(NamedTuple):
    """A delivery as it arrived at the receiver."""

    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> str:
        return str(json.loads(self.body)["recording"]["status"])


class Receiver(NamedTuple):
    """A subscriber: the deliveries it received, and its next statuses (204 when there are none)."""

    url: str
    deliveries: list[Delivery]
    statuses: list[int]


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    deliveries: list[Delivery] = []
    statuses: list[int] = []

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        deliveries.append(Delivery(headers, await request.read()))
        return web.Response(status=statuses.pop(0) if statuses else 204)

    app = web.Application()
    app.add_routes([web.post("/hook", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield Receiver(f"http://127.0.0.1:{port}/hook", deliveries, statuses)
    finally:
        await runner.cleanup()


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as hook:
        yield hook


@pytest.fixture
async def client(hook: Receiver) -> AsyncIterator[Client]:
    async with connected_client() as client:
        client.sandbox.behaviour.real_webhook_retry_seconds = 0.01
        await subscribe(client, hook.url)
        yield client


async def subscribe(client: Client, url: str, *events: str) -> None:
    body = {"name": "ours", "url": url, "events": events or ["recording.statusUpdate"]}
    await client.call("POST", "/webhooks", json=body)


async def delivered(client: Client, count: int) -> None:
    """Wait for this number of attempts."""
    await client.sandbox.request_log.until(lambda log: len(log.webhooks) >= count)


async def public_key(client: Client) -> rsa.RSAPublicKey:
    answer = await client.http.get(client.sandbox.webhook_key_url)
    key = serialization.load_pem_public_key(answer.json()["data"]["publicKey"].encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def check(key: rsa.RSAPublicKey, delivery: Delivery) -> None:
    signature = base64.b64decode(delivery.headers["rtk-signature"])
    key.verify(signature, delivery.body, padding.PKCS1v15(), hashes.SHA256())


async def test_each_documented_status_has_one_signed_webhook(
    client: Client, hook: Receiver
) -> None:
    await client.uploaded(await client.start_track())
    await delivered(client, 3)

    key = await public_key(client)
    for delivery in hook.deliveries:
        check(key, delivery)
    assert sorted(delivery.status for delivery in hook.deliveries) == [
        "RECORDING",
        "UPLOADED",
        "UPLOADING",
    ]
    assert len({delivery.headers["rtk-uuid"] for delivery in hook.deliveries}) == 3
    assert len({delivery.headers["rtk-webhook-id"] for delivery in hook.deliveries}) == 1


async def test_webhooks_of_one_recording_arrive_in_order(client: Client, hook: Receiver) -> None:
    await client.uploaded(await client.start_track())
    await delivered(client, 3)

    assert [delivery.status for delivery in hook.deliveries] == [
        "RECORDING",
        "UPLOADING",
        "UPLOADED",
    ]


async def test_after_a_rotation_only_the_new_key_verifies(client: Client, hook: Receiver) -> None:
    old = await public_key(client)
    client.sandbox.webhook_signer.rotate()
    await client.uploaded(await client.start_track())
    await delivered(client, 3)

    check(await public_key(client), hook.deliveries[0])
    with pytest.raises(InvalidSignature):
        check(old, hook.deliveries[0])


async def test_a_delivery_that_got_a_5xx_is_repeated_with_a_new_uuid(
    client: Client, hook: Receiver
) -> None:
    hook.statuses.extend([503, 500])
    await client.start_track()
    client.sandbox.clock.advance(1)
    await delivered(client, 3)

    assert [sent.response_status for sent in client.sandbox.request_log.webhooks] == [503, 500, 204]
    assert [sent.attempt for sent in client.sandbox.request_log.webhooks] == [1, 2, 3]
    assert len({delivery.body for delivery in hook.deliveries}) == 1
    assert len({delivery.headers["rtk-uuid"] for delivery in hook.deliveries}) == 3


async def test_a_delivery_that_got_a_4xx_is_not_repeated(client: Client, hook: Receiver) -> None:
    client.sandbox.behaviour.real_webhook_retry_seconds = 0
    hook.statuses.extend([401])
    await client.uploaded(await client.start_track())
    await delivered(client, 3)
    await client.uploaded(await client.start_track())
    await delivered(client, 6)

    assert [sent.attempt for sent in client.sandbox.request_log.webhooks] == [1] * 6


async def test_a_delivery_without_response_is_repeated_until_the_last_attempt(
    client: Client,
) -> None:
    client.sandbox.behaviour.webhook_attempts = 2
    async with receiver() as gone:
        await subscribe(client, gone.url, "meeting.started")
    client.meeting_id = "97440c6a-140b-40a9-9499-b23fd7a3868a"
    await client.start_track()
    await delivered(client, 2)

    assert [sent.response_status for sent in client.sandbox.request_log.webhooks] == [None, None]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("webhook_drop", ["UPLOADING", "UPLOADED"]),
        ("webhook_duplicate", ["RECORDING", "RECORDING", "UPLOADING", "UPLOADED"]),
        ("webhook_reorder", ["UPLOADING", "RECORDING", "UPLOADED"]),
    ],
)
async def test_deliveries_can_be_dropped_duplicated_and_reordered(
    client: Client, hook: Receiver, kind: Any, expected: list[str]
) -> None:
    client.sandbox.faults.add(Fault(kind=kind, operation="recording.statusUpdate", count=1))
    await client.uploaded(await client.start_track())
    await client.sandbox.request_log.until(lambda _: len(hook.deliveries) >= len(expected))

    assert [delivery.status for delivery in hook.deliveries] == expected


async def test_a_delayed_delivery_arrives_after_later_ones(client: Client, hook: Receiver) -> None:
    client.sandbox.faults.add(Fault(kind="webhook_delay", seconds=1, count=1))
    await client.uploaded(await client.start_track())
    await delivered(client, 3)

    assert [delivery.status for delivery in hook.deliveries] == [
        "UPLOADING",
        "UPLOADED",
        "RECORDING",
    ]


async def test_a_forged_delivery_does_not_match_the_key(client: Client, hook: Receiver) -> None:
    client.sandbox.faults.add(Fault(kind="webhook_forge", count=1))
    await client.start_track()
    client.sandbox.clock.advance(1)
    await delivered(client, 2)

    key = await public_key(client)
    with pytest.raises(InvalidSignature):
        check(key, hook.deliveries[0])
    check(key, hook.deliveries[1])


async def test_the_webhook_of_an_uploaded_track_has_no_urls(client: Client, hook: Receiver) -> None:
    await client.uploaded(await client.start_track())
    await delivered(client, 3)

    body = json.loads(hook.deliveries[-1].body)
    assert body["recording"]["downloadUrl"] is None
    assert body["recording"]["downloadUrlExpiry"]
    assert body["recording"]["meetingId"] == body["meeting"]["id"] == client.meeting_id
    assert body["recording"]["fileSize"] == "0"


async def test_payloads_of_the_predecessor_lack_fields(client: Client, hook: Receiver) -> None:
    client.sandbox.behaviour.webhook_generation = "dyte"
    await client.uploaded(await client.start_track())
    await delivered(client, 3)

    uploading, uploaded = [json.loads(delivery.body) for delivery in hook.deliveries[1:]]
    assert "meetingId" not in uploading["recording"]
    assert "sessionId" not in uploading["meeting"]
    assert uploaded["recording"]["fileSize"] == 0
    assert " " in uploaded["recording"]["startedTime"]
    assert isinstance(uploaded["recording"]["stopReason"], str)


async def test_a_disabled_webhook_receives_nothing(client: Client, hook: Receiver) -> None:
    (webhook,) = (await client.get("/webhooks"))["data"]
    await client.call("PATCH", f"/webhooks/{webhook['id']}", json={"enabled": False})
    async with receiver() as other:
        await subscribe(client, other.url)
        await client.uploaded(await client.start_track())
        await delivered(client, 3)

    assert (len(hook.deliveries), len(other.deliveries)) == (0, 3)


async def test_changes_of_meetings_have_webhooks_too(client: Client) -> None:
    async with receiver() as other:
        await subscribe(client, other.url, "meeting.started", "meeting.ended")
        await client.start_track()
        client.sandbox.meetings.end_session(client.meeting_id)
        await delivered(client, 2)
        events = {
            json.loads(delivery.body)["event"]: json.loads(delivery.body)
            for delivery in other.deliveries
        }

    assert set(events) == {"meeting.started", "meeting.ended"}
    assert events["meeting.ended"]["reason"] == "HOST_ENDED_MEETING"
