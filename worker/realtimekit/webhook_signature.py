"""The public key that webhooks are signed with: where it is published, and what it says of a body.

The request for it goes to no app, carries no token and is not paid from any budget.
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
from worker.realtimekit.decoding.fields import Unreadable, decoded, text
from worker.realtimekit.http.transport import Transport

FETCH_SECONDS: Final = 1.0
"""However many signatures do not fit, the key is asked for at most once in as long."""

MOST_WAITING: Final = 100
"""So many signatures that do not fit may wait for the next fetch at a time."""

OLD_KEY_SECONDS: Final = 60.0
"""What was signed before a change of keys may still be on its way for so long."""

LARGEST_ANSWER: Final = 65_536
_LONGEST_SIGNATURE = 4_096
_HEADERS = ((b"Accept", b"application/json"), (b"User-Agent", b"recording-worker"))


class _Published(msgspec.Struct):
    data: Any = None


_PUBLISHED = msgspec.json.Decoder(_Published)


class WebhookVerifier:
    """Checks signatures with the key that `url` publishes; close it with `aclose`.

    The key is fetched when it is first needed, kept, and fetched again when a signature does not
    fit, which is how a change of keys is noticed. No signature is called forged unless the key was
    fetched after it came; all that came before share a fetch. `timeout` is the total of a fetch in
    seconds, `now` a clock in seconds that never goes back, and `sleep` sleeps by it. `transport` is
    for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._timeout = timeout
        self._now = now
        self._sleep = sleep
        self._transport = transport or Transport()
        self._fetching = asyncio.Lock()
        self._key: rsa.RSAPublicKey | None = None
        self._old: rsa.RSAPublicKey | None = None
        self._changed_at = 0.0
        self._asked_at = -math.inf
        self._waiting = 0
        self._trouble: str | None = None

    async def verify(self, body: bytes, signature: str) -> bool:
        """Whether `signature` (Base64 of RSASSA-PKCS1-v1_5 with SHA-256) is the key's on `body`.

        Raises `Unavailable` when that cannot be told, because the key cannot be had.
        """
        given = _unwrapped(signature)
        if given is None:
            return False
        if self._fits(body, given):
            return True
        if self._waiting >= MOST_WAITING:
            raise Unavailable("webhook_key", "too many signatures wait for the key to be had anew")
        self._waiting += 1
        try:
            arrived_at = self._now()
            async with self._fetching:
                if not self._fits(body, given):
                    await self._fetch_for(arrived_at)
        finally:
            self._waiting -= 1
        return self._fits(body, given)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _fits(self, body: bytes, signature: bytes) -> bool:
        keys = [self._key]
        if self._now() - self._changed_at < OLD_KEY_SECONDS:
            keys.append(self._old)
        return any(key is not None and _is_of(key, body, signature) for key in keys)

    async def _fetch_for(self, arrived_at: float) -> None:
        """Fetch the key for who came then, unless that was done since."""
        if self._asked_at <= arrived_at:
            pause = self._asked_at + FETCH_SECONDS - self._now()
            if pause > 0:
                self._raise_trouble()
                await self._sleep(pause)
            self._asked_at = self._now()
            await self._fetch()
        self._raise_trouble()

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            raise Unavailable("webhook_key", self._trouble)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                key = _key_in(await self._answer())
        except (Unreadable, httpx.HTTPError, OSError) as error:
            self._trouble = f"the key that webhooks are signed with cannot be had: {_words(error)}"
            return
        self._trouble = None
        if key != self._key:
            self._key, self._old, self._changed_at = key, self._key, self._now()

    async def _answer(self) -> bytearray:
        request = httpx.Request("GET", self._url, headers=_HEADERS)
        response = await self._transport.handle_async_request(request)
        try:
            if response.status_code != httpx.codes.OK:
                raise Unreadable(f"the answer has status {response.status_code}")
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise Unreadable(f"the answer has more than {LARGEST_ANSWER} bytes")
            return body
        finally:
            await response.aclose()


def _key_in(body: bytearray) -> rsa.RSAPublicKey:
    data = decoded(body, _PUBLISHED).data
    pem = text(data.get("publicKey")) if isinstance(data, dict) else None
    if pem is None:
        raise Unreadable("the answer holds no publicKey")
    try:
        key = serialization.load_pem_public_key(pem.encode("utf-8", "replace"))
    except (ValueError, UnsupportedAlgorithm):
        raise Unreadable("the publicKey is no public key in PEM") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise Unreadable("the publicKey is no RSA key")
    return key


def _unwrapped(signature: str) -> bytes | None:
    if not 0 < len(signature) <= _LONGEST_SIGNATURE:
        return None
    try:
        return base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_of(key: rsa.RSAPublicKey, body: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
