"""What one replica has leave for. Every `now` is in seconds by the clock that replicas share."""

from collections import deque
from typing import Final, NamedTuple

from worker.budget.ledger import Counts, Spent, TokenGrant
from worker.budget.priorities import Tier
from worker.budget.sliding_window import LIFETIME_SECONDS, MARGIN_SECONDS

MOST_AHEAD: Final = 1_000
"""So many tokens are held at most for requests that are only expected."""


class Token(NamedTuple):
    """Leave for one request, given at `at`."""

    at: float
    tier: Tier

    def is_late(self, now: float) -> bool:
        """Whether a request that ends now may have arrived later than was counted on."""
        return now > self.at + LIFETIME_SECONDS + MARGIN_SECONDS


class TokenPool:
    """Those in hand, until they are used or too old. Lower tiers serve higher ones too."""

    def __init__(self) -> None:
        self._blocks: tuple[deque[_Block], ...] = tuple(deque() for _ in Tier)
        self._demand = tuple(_Demand() for _ in Tier)
        self._unspent: list[Spent] = []
        self._expires_at: float | None = None

    def add(self, grant: TokenGrant) -> None:
        """Have what was given."""
        for tier in Tier:
            if grant.tokens[tier]:
                self._blocks[tier].append(_Block(grant.at, tier, grant.tokens[tier]))
        self._note_expiry()

    def spend(self, tier: Tier, now: float) -> Token | None:
        """A token that may serve this tier, if one is in hand."""
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
        """Leave that was given and is not used after all."""
        self._unspent.append(spent(token.at, token.tier))

    def drop(self) -> None:
        """Use none of what is in hand."""
        for blocks in self._blocks:
            self._unspent += [spent(block.at, block.tier, block.left) for block in blocks]
            blocks.clear()
        self._expires_at = None

    def unspent(self, now: float) -> tuple[Spent, ...]:
        """What is to be given back, told once."""
        self._expire(now)
        told, self._unspent = tuple(self._unspent), []
        return told

    def prefetch(self, now: float, most: int) -> Counts:
        """How many to ask for before they are needed: about what a second takes.

        None while what is in hand lasts for half of that.
        """
        most = min(most, MOST_AHEAD)
        return 0, self._short(Tier.COMMAND, now, most), self._short(Tier.BACKGROUND, now, most)

    def _short(self, tier: Tier, now: float, most: int) -> int:
        held = sum(block.left for block in self._blocks[tier])
        if held > most // 2:
            return 0
        wanted = min(self._demand[tier].per_second(now), most)
        return wanted - held if held <= wanted // 2 and wanted > 1 else 0

    def expires_at(self) -> float | None:
        """When to look again for what is too old; None when there is nothing."""
        return self._expires_at

    def _note_expiry(self) -> None:
        firsts = [blocks[0].at for blocks in self._blocks if blocks]
        self._expires_at = min(firsts) + LIFETIME_SECONDS if firsts else None

    def _expire(self, now: float) -> None:
        if self._expires_at is None or now < self._expires_at:
            return
        for blocks in self._blocks:
            while blocks and now >= blocks[0].at + LIFETIME_SECONDS:
                block = blocks.popleft()
                self._unspent.append(spent(block.at, block.tier, block.left))
        self._note_expiry()


def spent(at: float, tier: Tier, requests: int = 1) -> Spent:
    """Tokens of a tier as the ledger has them."""
    return Spent(at, requests, requests if tier is Tier.BACKGROUND else 0)


class _Block:
    """Tokens that were given together."""

    __slots__ = ("at", "left", "tier")

    def __init__(self, at: float, tier: Tier, left: int) -> None:
        self.at = at
        self.tier = tier
        self.left = left


class _Demand:
    """How many are used in a second, by the present one and the one before."""

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
