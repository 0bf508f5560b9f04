"""Who may come in, and how often: tokens and rate limits."""

import hashlib
import math
import time
from collections import deque
from collections.abc import Callable

from sandbox.model.behaviour import Behaviour


class Tokens:
    """Which bearer tokens are good. Only digests are kept, and numbers to tell them apart."""

    def __init__(self, behaviour: Behaviour, allowed: tuple[str, ...] = ()) -> None:
        self._behaviour = behaviour
        self._allowed = {_digest(token) for token in allowed}
        self._revoked: set[bytes] = set()
        self._numbers: dict[bytes, int] = {}

    def allow(self, token: str) -> None:
        """The token is good, also in strict mode and after it was revoked."""
        self._allowed.add(_digest(token))
        self._revoked.discard(_digest(token))

    def revoke(self, token: str) -> None:
        """The token is good no longer."""
        self._revoked.add(_digest(token))
        self._allowed.discard(_digest(token))

    def number(self, authorization: str | None) -> int | None:
        """A number that stands for the token of an Authorization header; None when not good."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        digest = _digest(token.strip())
        listed = digest in self._allowed or not self._behaviour.strict
        if digest in self._revoked or not listed:
            return None
        return self._numbers.setdefault(digest, len(self._numbers) + 1)


class RateLimiter:
    """Counts requests per token in sliding windows of real time, and blocks after a breach."""

    def __init__(self, behaviour: Behaviour, ticks: Callable[[], float] = time.monotonic) -> None:
        self._behaviour = behaviour
        self._ticks = ticks
        self._paid: dict[tuple[int, str], deque[float]] = {}
        self._blocked_until: dict[int, float] = {}
        self.breaches = 0

    def seconds_to_wait(self, token: int, *, recordings: bool) -> int | None:
        """Pay for one request; or, when there is nothing left, how long all calls are blocked."""
        if not self._behaviour.rate_limits:
            return None
        now = self._ticks()
        if (left := self._blocked_until.get(token, now) - now) > 0:
            return math.ceil(left)
        for rate in self._applying(recordings=recordings):
            quota, seconds = _parse(rate)
            paid = self._window(token, rate, now, seconds)
            if len(paid) >= quota:
                self.breaches += 1
                self._blocked_until[token] = now + self._behaviour.real_rate_block_seconds
                return math.ceil(self._behaviour.real_rate_block_seconds)
        for rate in self._applying(recordings=recordings):
            self._paid[token, rate].append(now)
        return None

    def headers(self, token: int) -> dict[str, str]:
        """What is left of the window that is nearest to its end, in the documented headers."""
        if not self._behaviour.rate_headers:
            return {}
        now = self._ticks()
        states = []
        for rate in self._behaviour.rate_limits:
            quota, seconds = _parse(rate)
            paid = self._window(token, rate, now, seconds)
            left = quota - len(paid)
            resets = math.ceil(paid[0] + seconds - now) if paid else seconds
            states.append((left / quota, left, resets, quota, seconds))
        if not states:
            return {}
        _, left, resets, quota, seconds = min(states)
        return {
            "Ratelimit": f'"default";r={left};t={resets}',
            "Ratelimit-Policy": f'"default";q={quota};w={seconds}',
        }

    def _applying(self, *, recordings: bool) -> list[str]:
        rates = self._behaviour.rate_limits
        return [rate for rate in rates if recordings or not rate.endswith(":recordings")]

    def _window(self, token: int, rate: str, now: float, seconds: int) -> deque[float]:
        paid = self._paid.setdefault((token, rate), deque())
        while paid and paid[0] <= now - seconds:
            paid.popleft()
        return paid


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _parse(rate: str) -> tuple[int, int]:
    quota, _, seconds = rate.removesuffix(":recordings").partition("/")
    return int(quota), int(seconds)
