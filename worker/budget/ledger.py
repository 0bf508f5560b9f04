"""A replica asks for leave to make requests, tells what it heard, and is given what there is."""

from collections.abc import Sequence
from typing import Final, Self

import msgspec

from worker.budget.priorities import Tier, background_burst, room
from worker.budget.sliding_window import Limit, Window
from worker.domain.rate import Rate

LONGEST_PAUSE_SECONDS: Final = 600.0
"""However long the API wants to be left alone, after so long it is asked once again."""

TOLD_LASTS_SECONDS: Final = 600.0
"""So long a limit counts after the API last told of it."""

MOST_TOLD: Final = 4
"""So many different limits of the API's are kept in mind."""

Counts = tuple[int, int, int]
"""A number for each `Tier`."""


class Spent(msgspec.Struct, frozen=True):
    """Leave that was given at `at`: for how many requests, and how many of them background."""

    at: float
    requests: int
    background: int


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one replica asks of the budget, and what it has to tell.

    `rates` are the configured windows. `needed` requests wait already, `ahead` are expected.
    `unspent` was not used. `late` may have arrived later than the margin allows for. `limits` is
    what the API told; `paused_for` the seconds for which it wants no requests at all.
    """

    rates: tuple[Rate, ...]
    needed: Counts = (0, 0, 0)
    ahead: Counts = (0, 0, 0)
    unspent: tuple[Spent, ...] = ()
    late: tuple[Spent, ...] = ()
    limits: tuple[Limit, ...] = ()
    paused_for: float = 0.0


class TokenGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Leave given at `at`: so many requests of each tier, to be sent within the lifetime.

    `waits` are, for each tier, the seconds until it is worth asking for another one. `left` is
    what remains of the scarcest window, `background_rate` requests per second.
    """

    at: float
    tokens: Counts
    waits: tuple[float, ...]
    paused_until: float
    left: int
    background_rate: float


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one budget. `paced_until` is how far the background is paid for."""

    windows: tuple[Window, ...] = ()
    paused_until: float = 0.0
    paced_until: float = 0.0

    def apply(self, ask: TokenRequest, now: float) -> tuple[TokenGrant, Self]:
        """What one replica gets at `now`, and the ledger after that."""
        windows = _heard(self.windows, ask, now)
        active = [one for one in windows if _is_active(one, ask, now)]
        pace = _Pace(active, self.paced_until, now)
        paused_until = _paused_until(self.paused_until, ask, now)
        tokens = (0, 0, 0) if paused_until > now else _shared_out(active, ask, pace.even())
        spent, background = sum(tokens), tokens[Tier.BACKGROUND]
        if spent:
            windows = [one.plus(now, spent, background) for one in windows]
            active = [one for one in windows if _is_active(one, ask, now)]
        pace.spend(background)
        waits = [max(one.wait(tier, now) for one in active) for tier in Tier]
        waits[Tier.BACKGROUND] = max(waits[Tier.BACKGROUND], pace.wait())
        grant = TokenGrant(
            at=now,
            tokens=tokens,
            waits=tuple(max(wait, paused_until - now) for wait in waits),
            paused_until=paused_until,
            left=max(min(one.room(Tier.STOP) for one in active), 0),
            background_rate=pace.rate,
        )
        after = msgspec.structs.replace(
            self, windows=tuple(windows), paused_until=paused_until, paced_until=pace.until
        )
        return grant, after


class _Pace:
    """Lets the background have its share evenly, with a small burst."""

    def __init__(self, active: Sequence[Window], until: float, now: float) -> None:
        self.rate = min(one.background_rate for one in active)
        self._ahead = min(background_burst(one.rate.requests) for one in active) / self.rate
        self._now = now
        # A clock that went back must not make anybody wait for hours.
        self.until = min(max(until, now), now + self._ahead)

    def even(self) -> int:
        """How many may go now."""
        return int((self._now + self._ahead - self.until) * self.rate + 1e-6)

    def spend(self, requests: int) -> None:
        """So many go."""
        self.until += requests / self.rate

    def wait(self) -> float:
        """The seconds until one more may go."""
        return self.until + 1 / self.rate - self._ahead - self._now


def _heard(windows: Sequence[Window], ask: TokenRequest, now: float) -> list[Window]:
    """The windows that are asked for and told of, with all that the replica tells of them."""
    kept = {one.rate: one.at(now) for one in windows if not _is_forgotten(one, now)}
    for rate in ask.rates:
        kept[rate] = msgspec.structs.replace(_of(kept, rate, now), asked_at=now)
    for late in ask.late:
        kept = {rate: one.plus(now, late.requests, late.background) for rate, one in kept.items()}
    for back in (*ask.unspent, *ask.late):
        kept = {
            rate: one.plus(back.at, -back.requests, -back.background) for rate, one in kept.items()
        }
    for limit in ask.limits:
        if limit.rate in kept or sum(one.told_at is not None for one in kept.values()) < MOST_TOLD:
            window = _of(kept, limit.rate, now).less_by_others(limit.left, now)
            kept[limit.rate] = msgspec.structs.replace(window, told_at=now)
    return list(kept.values())


def _of(windows: dict[Rate, Window], rate: Rate, now: float) -> Window:
    """The window of this rate. A new one begins with what the others know of its time."""
    if rate in windows:
        return windows[rate]
    window = Window(rate=rate)
    if windows:
        # Of those that reach back as far the finest, else the one that reaches back furthest.
        source = min(
            windows.values(),
            key=lambda one: (
                one.rate.seconds < rate.seconds,
                abs(one.rate.seconds - rate.seconds),
            ),
        )
        for ends, requests, background in source.times():
            window = window.plus(min(ends, now), requests, background)
    return window.at(now)


def _paused_until(until: float, ask: TokenRequest, now: float) -> float:
    wished = now + ask.paused_for if ask.paused_for > 0 else 0.0
    return min(max(until, wished), now + LONGEST_PAUSE_SECONDS)


def _is_active(window: Window, ask: TokenRequest, now: float) -> bool:
    """Whether this replica goes by it: it is configured so, or the API told of it lately."""
    told = window.told_at is not None and now - window.told_at < TOLD_LASTS_SECONDS
    return told or window.rate in ask.rates


def _is_forgotten(window: Window, now: float) -> bool:
    named_at = max(window.asked_at, window.told_at or 0.0)
    return now - named_at > max(window.span, TOLD_LASTS_SECONDS)


def _shared_out(active: Sequence[Window], ask: TokenRequest, even: int) -> Counts:
    """Tokens of each tier, the most urgent first; what nobody waits for yet only out of plenty."""
    totals = [(one.rate.requests, *one.totals()) for one in active]
    tokens = [0, 0, 0]
    for wanted, plenty in ((ask.needed, False), (ask.ahead, True)):
        for tier in Tier:
            free = min(_free(*total, tokens, tier, plenty=plenty) for total in totals)
            if tier is Tier.BACKGROUND:
                free = min(free, even - tokens[tier])
            tokens[tier] += max(min(wanted[tier], free), 0)
    return tokens[0], tokens[1], tokens[2]


def _free(
    quota: int, spent: int, background: int, tokens: Sequence[int], tier: Tier, *, plenty: bool
) -> int:
    spent, background = spent + sum(tokens), background + tokens[Tier.BACKGROUND]
    free = room(quota, spent, background, tier)
    return min(free, quota // 2 - spent) if plenty else free
