"""The key that verifies webhooks: fetched, kept, replaced, and never fetched too often."""

import asyncio
import gzip
from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from recording_sandbox.api.webhook_signing import Signer
from worker.domain.errors import Unavailable
from worker.realtimekit.webhook_signature import (
    KEY_FETCH_INTERVAL_SECONDS,
    MAX_KEY_RESPONSE_BYTES,
    MAX_WAITING_SIGNATURES,
    OLD_KEY_LIFETIME_SECONDS,
    WebhookVerifier,
)

BODY: Final = b'{"event":"recording.statusUpdate"}'


@cache
def signer_of(owner: str) -> Signer:
    """Each owner has one key in all tests, because to make it takes long."""
    signer = Signer()
    signer.rotate()
    return signer


class Publisher:
    """Publishes a key and counts its fetches. The clock moves only in `sleep`."""

    def __init__(self) -> None:
        self.signer = copy(signer_of("publisher"))
        self.fetches = 0
        self.time = 1_000.0
        self.respond: Callable[[], httpx.Response] = self.published
        self.verifier = WebhookVerifier(
            "http://keys.example/webhooks.json",
            timeout=10.0,
            now=lambda: self.time,
            sleep=self._sleep,
            transport=httpx.MockTransport(self._serve),
        )

    def published(self) -> httpx.Response:
        body = {"success": True, "data": {"publicKey": self.signer.public_pem()}, "message": ""}
        return httpx.Response(200, json=body)

    async def verify(self, body: bytes = BODY, *, signature: str | None = None) -> bool:
        sent = self.signer.signature(body) if signature is None else signature
        return await self.verifier.verify(body, sent)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += seconds

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        assert "Authorization" not in request.headers
        self.fetches += 1
        await asyncio.sleep(0)
        return self.respond()


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


async def test_the_key_is_fetched_when_first_needed_and_then_kept(publisher: Publisher) -> None:
    for _ in range(3):
        assert await publisher.verify()
        publisher.time += 3_600
    assert publisher.fetches == 1


async def test_many_first_verifications_share_one_fetch(publisher: Publisher) -> None:
    assert all(await asyncio.gather(*(publisher.verify() for _ in range(50))))
    assert publisher.fetches == 1


async def test_a_signature_of_another_body_or_signer_is_rejected(publisher: Publisher) -> None:
    signature = publisher.signer.signature(BODY)
    assert not await publisher.verify(BODY + b" ", signature=signature)
    assert not await publisher.verify(signature=signer_of("forger").signature(BODY))


async def test_a_flood_of_forged_webhooks_causes_at_most_one_fetch_per_interval(
    publisher: Publisher,
) -> None:
    forged, started_at = signer_of("forger").signature(BODY), publisher.time
    for _ in range(20):
        verifications = (publisher.verify(signature=forged) for _ in range(MAX_WAITING_SIGNATURES))
        assert set(await asyncio.gather(*verifications)) == {False}
    assert publisher.fetches <= 1 + (publisher.time - started_at) / KEY_FETCH_INTERVAL_SECONDS


async def test_a_signature_of_a_new_key_is_accepted_amid_a_flood_of_forged_ones(
    publisher: Publisher,
) -> None:
    forged = signer_of("forger").signature(BODY)
    for _ in range(5):
        verifications = [
            publisher.verify(signature=forged) for _ in range(MAX_WAITING_SIGNATURES - 1)
        ]
        publisher.signer.rotate()
        assert (await asyncio.gather(*verifications, publisher.verify()))[-1]


async def test_when_too_many_signatures_wait_the_known_key_still_serves(
    publisher: Publisher,
) -> None:
    assert await publisher.verify()
    forged = signer_of("forger").signature(BODY)
    waiting = [
        asyncio.create_task(publisher.verify(signature=forged))
        for _ in range(MAX_WAITING_SIGNATURES)
    ]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="too many"):
        await publisher.verify(signature=forged)
    assert await publisher.verify()
    assert set(await asyncio.gather(*waiting)) == {False}
    assert not await publisher.verify(signature=forged)


@pytest.mark.parametrize("signature", ["", "?", "=", "YQ", "ü", "A" * 5_000, "\udcff", "a b"])
async def test_a_malformed_signature_is_rejected_without_a_fetch(
    publisher: Publisher, signature: str
) -> None:
    assert not await publisher.verify(signature=signature)
    assert publisher.fetches == 0


async def test_the_first_webhook_after_a_change_of_keys_is_accepted(
    publisher: Publisher,
) -> None:
    for fetches in (1, 2, 3, 4, 5):  # also right after the change before
        assert await publisher.verify()
        assert publisher.fetches == fetches
        publisher.signer.rotate()


async def test_signatures_of_the_old_key_are_accepted_for_a_minute(
    publisher: Publisher,
) -> None:
    late = publisher.signer.signature(BODY)
    assert await publisher.verify()
    publisher.signer.rotate()
    assert await publisher.verify()
    assert await publisher.verify(signature=late)
    publisher.time += OLD_KEY_LIFETIME_SECONDS
    assert not await publisher.verify(signature=late)


def pem_of_another_kind() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def pem_of_bits(bits: int) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.mark.parametrize("bits", [1024, 2040])
async def test_an_rsa_key_below_2048_bits_is_refused(publisher: Publisher, bits: int) -> None:
    publisher.respond = lambda: httpx.Response(200, json={"data": {"publicKey": pem_of_bits(bits)}})
    with pytest.raises(Unavailable, match=f"{bits} bits, fewer than 2048"):
        await publisher.verify()


async def test_a_key_that_is_packed_twice_is_not_unpacked(publisher: Publisher) -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 10_000_000))
    publisher.respond = lambda: httpx.Response(
        200, headers={"Content-Encoding": "gzip, gzip"}, stream=httpx.ByteStream(bomb)
    )
    with pytest.raises(Unavailable, match="encoding"):
        await publisher.verify()


async def test_a_weak_key_does_not_replace_the_known_key(publisher: Publisher) -> None:
    assert await publisher.verify()
    publisher.respond = lambda: httpx.Response(200, json={"data": {"publicKey": pem_of_bits(1024)}})
    publisher.time += KEY_FETCH_INTERVAL_SECONDS
    with pytest.raises(Unavailable, match="1024 bits"):
        await publisher.verify(signature=signer_of("forger").signature(BODY))
    assert await publisher.verify()


@pytest.mark.parametrize(
    "response",
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
async def test_without_a_key_no_signature_is_called_forged(
    publisher: Publisher, response: httpx.Response
) -> None:
    publisher.respond = lambda: response
    with pytest.raises(Unavailable, match="cannot be fetched"):
        await publisher.verify()
    publisher.respond = publisher.published
    publisher.time += KEY_FETCH_INTERVAL_SECONDS
    assert await publisher.verify()


def refuse() -> httpx.Response:
    raise httpx.ConnectError("refused")


async def test_while_the_key_cannot_be_fetched_the_known_key_serves(publisher: Publisher) -> None:
    assert await publisher.verify()
    publisher.respond = refuse
    for _ in range(10):  # it may be signed with a new key
        with pytest.raises(Unavailable):
            await publisher.verify(signature=signer_of("forger").signature(BODY))
    assert await publisher.verify()
    assert publisher.fetches == 2
    publisher.time += KEY_FETCH_INTERVAL_SECONDS
    with pytest.raises(Unavailable):
        await publisher.verify(signature=signer_of("forger").signature(BODY))
    assert publisher.fetches == 3


async def test_a_publisher_that_does_not_respond_is_unavailable_after_the_timeout(
    publisher: Publisher,
) -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    settings: dict[str, Any] = {"timeout": 0.01, "transport": httpx.MockTransport(never)}
    verifier = WebhookVerifier("http://keys.example/", **settings)
    with pytest.raises(Unavailable, match="TimeoutError"):
        await verifier.verify(BODY, publisher.signer.signature(BODY))
