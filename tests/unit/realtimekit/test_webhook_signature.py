"""The key that webhooks are signed with: fetched, kept, followed, and never asked for too often."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.api.webhook_signing import Signer
from worker.domain.errors import Unavailable
from worker.realtimekit.webhook_signature import (
    KEY_FETCH_INTERVAL_SECONDS,
    MAX_KEY_RESPONSE_BYTES,
    MAX_WAITING_SIGNATURES,
    OLD_KEY_LIFETIME_SECONDS,
    WebhookVerifier,
)

BODY: Final = b'{"event":"recording.statusUpdate"}'


class Publisher:
    """Publishes a key, counts who asks, and has a clock that moves only when it is slept on."""

    def __init__(self) -> None:
        self.signer = Signer()
        self.asked = 0
        self.time = 1_000.0
        self.answer: Callable[[], httpx.Response] = self.published
        self.key = WebhookVerifier(
            "http://keys.example/webhooks.json",
            timeout=10.0,
            now=lambda: self.time,
            sleep=self._sleep,
            transport=httpx.MockTransport(self._serve),
        )

    def published(self) -> httpx.Response:
        body = {"success": True, "data": {"publicKey": self.signer.public_pem()}, "message": ""}
        return httpx.Response(200, json=body)

    async def has_signed(self, body: bytes = BODY, *, signature: str | None = None) -> bool:
        given = self.signer.signature(body) if signature is None else signature
        return await self.key.verify(body, given)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += seconds

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        assert "Authorization" not in request.headers
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer()


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


async def test_the_key_is_fetched_when_first_needed_and_then_kept(publisher: Publisher) -> None:
    for _ in range(3):
        assert await publisher.has_signed()
        publisher.time += 3_600
    assert publisher.asked == 1


async def test_many_who_need_the_first_key_at_once_share_one_fetch(publisher: Publisher) -> None:
    assert all(await asyncio.gather(*(publisher.has_signed() for _ in range(50))))
    assert publisher.asked == 1


async def test_another_body_or_another_signer_is_not_believed(publisher: Publisher) -> None:
    signature = publisher.signer.signature(BODY)
    assert not await publisher.has_signed(BODY + b" ", signature=signature)
    assert not await publisher.has_signed(signature=Signer().signature(BODY))


async def test_a_flood_of_forged_webhooks_does_not_become_one_of_fetches(
    publisher: Publisher,
) -> None:
    forged, begun = Signer().signature(BODY), publisher.time
    for _ in range(20):
        many = (publisher.has_signed(signature=forged) for _ in range(MAX_WAITING_SIGNATURES))
        assert set(await asyncio.gather(*many)) == {False}
    assert publisher.asked <= 1 + (publisher.time - begun) / KEY_FETCH_INTERVAL_SECONDS


async def test_what_a_new_key_has_signed_is_believed_amid_a_flood_of_forged_ones(
    publisher: Publisher,
) -> None:
    forged = Signer().signature(BODY)
    for _ in range(5):
        many = [publisher.has_signed(signature=forged) for _ in range(MAX_WAITING_SIGNATURES - 1)]
        publisher.signer.rotate()
        assert (await asyncio.gather(*many, publisher.has_signed()))[-1]


async def test_of_more_than_can_wait_for_the_key_nothing_is_told_and_the_known_one_serves(
    publisher: Publisher,
) -> None:
    assert await publisher.has_signed()
    forged = Signer().signature(BODY)
    waiting = [
        asyncio.create_task(publisher.has_signed(signature=forged))
        for _ in range(MAX_WAITING_SIGNATURES)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many"):
        await publisher.has_signed(signature=forged)
    assert await publisher.has_signed()
    assert set(await asyncio.gather(*waiting)) == {False}
    assert not await publisher.has_signed(signature=forged)


@pytest.mark.parametrize("signature", ["", "?", "=", "YQ", "ü", "A" * 5_000, "\udcff", "a b"])
async def test_what_is_no_signature_needs_no_key(publisher: Publisher, signature: str) -> None:
    assert not await publisher.has_signed(signature=signature)
    assert publisher.asked == 0


async def test_a_change_of_keys_is_noticed_by_the_first_webhook_after_it(
    publisher: Publisher,
) -> None:
    for asked in (1, 2, 3, 4, 5):  # and be it at once
        assert await publisher.has_signed()
        assert publisher.asked == asked
        publisher.signer.rotate()


async def test_what_the_old_key_has_signed_may_still_arrive_for_a_minute(
    publisher: Publisher,
) -> None:
    late = publisher.signer.signature(BODY)
    assert await publisher.has_signed()
    publisher.signer.rotate()
    assert await publisher.has_signed()
    assert await publisher.has_signed(signature=late)
    publisher.time += OLD_KEY_LIFETIME_SECONDS
    assert not await publisher.has_signed(signature=late)


def pem_of_another_kind() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, json={}),
        httpx.Response(301, headers={"Location": "http://elsewhere.example/"}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"data": {"publicKey": 5}}),
        httpx.Response(200, json={"data": {"publicKey": "-----BEGIN PUBLIC KEY-----"}}),
        httpx.Response(200, json={"data": {"publicKey": pem_of_another_kind()}}),
        httpx.Response(200, content=b" " * (MAX_KEY_RESPONSE_BYTES + 1)),
    ],
)
async def test_without_a_key_nothing_is_called_forged(
    publisher: Publisher, answer: httpx.Response
) -> None:
    publisher.answer = lambda: answer
    with pytest.raises(Unavailable, match="cannot be fetched"):
        await publisher.has_signed()
    publisher.answer = publisher.published
    publisher.time += KEY_FETCH_INTERVAL_SECONDS
    assert await publisher.has_signed()


def refuse() -> httpx.Response:
    raise httpx.ConnectError("refused")


async def test_while_the_key_cannot_be_fetched_the_known_one_serves(publisher: Publisher) -> None:
    assert await publisher.has_signed()
    publisher.answer = refuse
    for _ in range(10):  # it may be signed with a new key
        with pytest.raises(Unavailable):
            await publisher.has_signed(signature=Signer().signature(BODY))
    assert await publisher.has_signed()
    assert publisher.asked == 2
    publisher.time += KEY_FETCH_INTERVAL_SECONDS
    with pytest.raises(Unavailable):
        await publisher.has_signed(signature=Signer().signature(BODY))
    assert publisher.asked == 3


async def test_a_publisher_that_is_silent_is_given_up(publisher: Publisher) -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    settings: dict[str, Any] = {"timeout": 0.01, "transport": httpx.MockTransport(never)}
    key = WebhookVerifier("http://keys.example/", **settings)
    with pytest.raises(Unavailable, match="TimeoutError"):
        await key.verify(BODY, publisher.signer.signature(BODY))
