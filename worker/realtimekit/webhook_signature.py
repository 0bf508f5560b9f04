"""Verifies webhook signatures with the public key that the API publishes.

The request for the key goes to no app, carries no token and takes none from any budget.
"""

import asyncio
import base64
import binascii
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from worker.domain.errors import Unavailable
from worker.realtimekit.decoding.fields import Unreadable, decode, text
from worker.realtimekit.http.content import unpacked_chunks
from worker.realtimekit.http.proxy import open_transport
from worker.settings.proxies import NO_PROXIES, Proxies

KEY_FETCH_INTERVAL_SECONDS: Final = 1.0
"""The key is fetched at most once in this time, even if many signatures do not match."""

MAX_WAITING_SIGNATURES: Final = 100
"""At most this many signatures that do not match wait for the next fetch."""

OLD_KEY_LIFETIME_SECONDS: Final = 60.0
"""How long the previous key is accepted, because webhooks signed with it may still arrive."""

MAX_KEY_RESPONSE_BYTES: Final = 65_536
MAX_SIGNATURE_LENGTH: Final = 4_096
MIN_KEY_BITS: Final = 2_048
"""Signatures of shorter RSA keys can be forged (NIST SP 800-131A)."""

_HEADERS = ((b"Accept", b"application/json"), (b"User-Agent", b"recording-worker"))


class _KeyEnvelope(msgspec.Struct):
    data: Any = None


_KEY_ENVELOPE = msgspec.json.Decoder(_KeyEnvelope)


class WebhookVerifier:
    """Verifies signatures with the key that `url` publishes. Close it with `aclose`.

    The key is fetched when it is first needed, and again when a signature does not match, because
    the API may have changed its key. A signature counts as forged only if the key was fetched after
    the signature arrived. All signatures that arrived before a fetch share it.

    `timeout` is the total of one fetch, in seconds. `now` is a monotonic clock in seconds, `sleep`
    sleeps by it. `transport` is for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        proxies: Proxies = NO_PROXIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._timeout = timeout
        self._now = now
        self._sleep = sleep
        self._transport = transport or open_transport(url, proxies)
        self._fetch_lock = asyncio.Lock()
        self._key: rsa.RSAPublicKey | None = None
        self._old_key: rsa.RSAPublicKey | None = None
        self._changed_at = 0.0
        self._fetched_at = -math.inf
        self._waiting = 0
        self._fetch_error: str | None = None

    async def verify(self, body: bytes, signature: str) -> bool:
        """Whether `signature` (Base64 of RSASSA-PKCS1-v1_5 with SHA-256) belongs to `body`.

        Raises `Unavailable` when the key cannot be fetched.
        """
        decoded = _decode_signature(signature)
        if decoded is None:
            return False
        if self._matches(body, decoded):
            return True
        if self._waiting >= MAX_WAITING_SIGNATURES:
            raise Unavailable("webhook_key", "too many signatures wait for the key to be fetched")
        self._waiting += 1
        try:
            arrived_at = self._now()
            async with self._fetch_lock:
                if not self._matches(body, decoded):
                    await self._fetch_since(arrived_at)
        finally:
            self._waiting -= 1
        return self._matches(body, decoded)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _matches(self, body: bytes, signature: bytes) -> bool:
        keys = [self._key]
        if self._now() - self._changed_at < OLD_KEY_LIFETIME_SECONDS:
            keys.append(self._old_key)
        return any(key is not None and _is_signed(key, body, signature) for key in keys)

    async def _fetch_since(self, arrived_at: float) -> None:
        """Fetch the key, unless that was done after `arrived_at`."""
        if self._fetched_at <= arrived_at:
            pause = self._fetched_at + KEY_FETCH_INTERVAL_SECONDS - self._now()
            if pause > 0:
                self._raise_fetch_error()
                await self._sleep(pause)
            self._fetched_at = self._now()
            await self._fetch()
        self._raise_fetch_error()

    def _raise_fetch_error(self) -> None:
        if self._fetch_error is not None:
            raise Unavailable("webhook_key", self._fetch_error)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                key = _read_key(await self._request())
        except (Unreadable, httpx.HTTPError, OSError) as error:
            reason = str(error) or type(error).__name__
            self._fetch_error = f"the webhook signing key cannot be fetched: {reason}"
            return
        self._fetch_error = None
        if key != self._key:
            self._key, self._old_key, self._changed_at = key, self._key, self._now()

    async def _request(self) -> bytearray:
        request = httpx.Request("GET", self._url, headers=_HEADERS)
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != httpx.codes.OK:
                raise Unreadable(f"the response has status {response.status_code}")
            body = bytearray()
            async for chunk in unpacked_chunks(response):
                body += chunk
                if len(body) > MAX_KEY_RESPONSE_BYTES:
                    raise Unreadable(f"the response has more than {MAX_KEY_RESPONSE_BYTES} bytes")
            return body
        finally:
            await response.aclose()


def _read_key(body: bytearray) -> rsa.RSAPublicKey:
    data = decode(body, _KEY_ENVELOPE).data
    pem = text(data.get("publicKey")) if isinstance(data, dict) else None
    if pem is None:
        raise Unreadable("the response has no publicKey")
    try:
        key = serialization.load_pem_public_key(pem.encode("utf-8", "replace"))
    except (ValueError, UnsupportedAlgorithm):
        raise Unreadable("the publicKey is no public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise Unreadable("the publicKey is no RSA key")
    if key.key_size < MIN_KEY_BITS:
        raise Unreadable(f"the publicKey has {key.key_size} bits, fewer than {MIN_KEY_BITS}")
    return key


def _decode_signature(signature: str) -> bytes | None:
    if not 0 < len(signature) <= MAX_SIGNATURE_LENGTH:
        return None
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_signed(key: rsa.RSAPublicKey, body: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
