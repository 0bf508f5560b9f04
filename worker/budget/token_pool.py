"""The tokens that one replica holds. Every `now` is in seconds, by the clock replicas share."""

from collections import deque
from typing import Final, NamedTuple

from worker.budget.ledger import TierCounts, TokenGrant, Usage
from worker.budget.priorities import Tier
from worker.budget.sliding_window import ARRIVAL_MARGIN_SECONDS, TOKEN_LIFETIME_SECONDS

MAX_PREFETCHED: Final = 1_000
"""At most this many tokens of a tier are fetched ahead of requests."""


class Token(NamedTuple):
    """The right to send one request, granted at `at`."""

    at: float
    tier: Tier

    def outlived_margin(self, now: float) -> bool:
        """Whether a request that ends now may have reached the API too late for its window."""
        return now > self.at + TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS


class TokenPool:
    """Tokens until they are spent or expire. Tokens of a tier serve more urgent tiers too."""

    def __init__(self) -> None:
        self._blocks: tuple[deque[_Block], ...] = tuple(deque() for _ in Tier)
        self._demand = tuple(_Demand() for _ in Tier)
        self._unspent: list[Usage] = []
        self._expires_at: float | None = None

    def add(self, grant: TokenGrant) -> None:
        """Hold the tokens of `grant`."""
        for tier in Tier:
            if grant.tokens[tier]:
                self._blocks[tier].append(_Block(grant.at, tier, grant.tokens[tier]))
        self._note_expiry()

    def spend(self, tier: Tier, now: float) -> Token | None:
        """A token for a request of `tier`, None when the pool has none."""
        self._expire(now)
        for blocks in self._blocks[tier:]:
            if blocks:
                block = blocks[0]
                block.left -= 1
                if not block.left:
                    blocks.popleft()
                self._demand[tier].note(now)
                return Token(block.at, block.tier)
        return None

    def put_back(self, token: Token) -> None:
        """Return a token that was spent on no request."""
        self._unspent.append(usage_of(token.at, token.tier))

    def drop_all(self) -> None:
        """Use none of the tokens in the pool; they are returned to the ledger."""
        for blocks in self._blocks:
            self._unspent += [usage_of(block.at, block.tier, block.left) for block in blocks]
            blocks.clear()
        self._expires_at = None

    def take_unspent(self, now: float) -> tuple[Usage, ...]:
        """The tokens to return to the ledger. Each is returned by one call only."""
        self._expire(now)
        unspent, self._unspent = tuple(self._unspent), []
        return unspent

    def tokens_to_prefetch(self, now: float, limit: int) -> TierCounts:
        """How many tokens of each tier to fetch before requests need them, at most `limit`.

        The pool is filled up to the demand of one and a half seconds, because tokens live for two,
        and each time costs a transaction. While it holds half a second's demand, the result is 0.
        """
        limit = min(limit, MAX_PREFETCHED)
        return 0, self._short(Tier.COMMAND, now, limit), self._short(Tier.BACKGROUND, now, limit)

    def expires_at(self) -> float | None:
        """When the next token in the pool expires; None when the pool is empty."""
        return self._expires_at

    def _short(self, tier: Tier, now: float, limit: int) -> int:
        held = sum(block.left for block in self._blocks[tier])
        if held > limit // 2:
            return 0
        demand = self._demand[tier].per_second(now)
        if demand <= 1 or held > demand // 2:
            return 0
        return min(demand + demand // 2, limit) - held

    def _note_expiry(self) -> None:
        granted_at = [blocks[0].at for blocks in self._blocks if blocks]
        self._expires_at = min(granted_at) + TOKEN_LIFETIME_SECONDS if granted_at else None

    def _expire(self, now: float) -> None:
        if self._expires_at is None or now < self._expires_at:
            return
        for blocks in self._blocks:
            while blocks and now >= blocks[0].at + TOKEN_LIFETIME_SECONDS:
                block = blocks.popleft()
                self._unspent.append(usage_of(block.at, block.tier, block.left))
        self._note_expiry()


def usage_of(at: float, tier: Tier, requests: int = 1) -> Usage:
    """Tokens of a tier as the ledger counts them."""
    return Usage(at, requests, requests if tier is Tier.BACKGROUND else 0)


class _Block:
    """Tokens that were granted together."""

    __slots__ = ("at", "left", "tier")

    def __init__(self, at: float, tier: Tier, left: int) -> None:
        self.at = at
        self.tier = tier
        self.left = left


class _Demand:
    """Tokens spent per second: the larger of the present second and the one before."""

    def __init__(self) -> None:
        self._second = 0
        self._counts = (0, 0)

    def note(self, now: float) -> None:
        self._turn(now)
        before, present = self._counts
        self._counts = (before, present + 1)

    def per_second(self, now: float) -> int:
        self._turn(now)
        return max(self._counts)

    def _turn(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._counts = (self._counts[1] if second == self._second + 1 else 0, 0)
            self._second = second
