"""One replica's request applied to the ledger of a budget: reported usage in, tokens out."""

from collections.abc import Sequence
from typing import Final, Self

import msgspec

from worker.budget.priorities import Tier, background_burst, quota_left
from worker.budget.sliding_window import ReportedLimit, SlidingWindow
from worker.domain.rate import Rate

MAX_PAUSE_SECONDS: Final = 600.0
"""The API may ask for a longer pause. After this time, one request is tried anyway."""

REPORTED_LIMIT_LIFETIME_SECONDS: Final = 600.0
"""A limit applies for this long after the API last reported it."""

MAX_REPORTED_LIMITS: Final = 4
"""How many different limits from API responses are kept."""

TierCounts = tuple[int, int, int]
"""A number for each `Tier`."""


class Usage(msgspec.Struct, frozen=True):
    """Tokens that were granted at `at`: their number, and the background tokens among them."""

    at: float
    requests: int
    background: int


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that one replica asks for, and the usage that it reports.

    `rates` are the configured windows. `needed` tokens have requests that wait for them, `ahead`
    tokens are for requests that are expected. `unspent` tokens were not used. `late` requests may
    have arrived at the API after the margin. `limits` come from API responses. `paused_for` is
    the number of seconds for which only stops may be sent. In the first `stops_paused_for` of these
    seconds, stops may not be sent either.
    """

    rates: tuple[Rate, ...]
    needed: TierCounts = (0, 0, 0)
    ahead: TierCounts = (0, 0, 0)
    unspent: tuple[Usage, ...] = ()
    late: tuple[Usage, ...] = ()
    limits: tuple[ReportedLimit, ...] = ()
    paused_for: float = 0.0
    stops_paused_for: float = 0.0


class TokenGrant(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of each tier, granted at `at` and to be used within their lifetime.

    `waits` are, for each tier, the seconds until it is worth asking for another token. `left` is
    the quota that remains in the scarcest window.
    """

    at: float
    tokens: TierCounts
    waits: tuple[float, ...]
    paused_until: float
    left: int


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one budget, stored as JSON.

    `paced_until` is the time up to which the background has used its even share.
    """

    windows: tuple[SlidingWindow, ...] = ()
    paused_until: float = 0.0
    stops_paused_until: float = 0.0
    paced_until: float = 0.0

    def apply(self, request: TokenRequest, now: float) -> tuple[TokenGrant, Self]:
        """Apply one replica's request at `now`: the tokens it gets, and the ledger after that."""
        windows = _record_report(self, request, now)
        paused_until = _paused_until(self.paused_until, request.paused_for, now)
        stops_until = _paused_until(self.stops_paused_until, request.stops_paused_for, now)
        pace = _BackgroundPace(_active(windows, request, now), self.paced_until, now)
        may_send = _without_paused(request, paused_until, stops_until, now)
        tokens = _allocate(windows, may_send, pace, now)
        windows = _charge(windows, tokens, pace, now)
        pauses = (stops_until, paused_until, paused_until)
        grant = _grant(windows, request, tokens, pace, pauses, now)
        ledger = msgspec.structs.replace(
            self,
            windows=tuple(windows),
            paused_until=paused_until,
            stops_paused_until=stops_until,
            paced_until=pace.until,
        )
        return grant, ledger


class _BackgroundPace:
    """Spreads the background's share evenly over time, with a small burst."""

    def __init__(self, active: Sequence[SlidingWindow], until: float, now: float) -> None:
        self.rate = min(window.background_rate for window in active)
        burst = min(background_burst(window.rate.requests) for window in active)
        self._burst_seconds = burst / self.rate
        self._now = now
        # The clock may have gone back. That must not make the background wait for hours.
        self.until = min(max(until, now), now + self._burst_seconds)

    def available(self) -> int:
        """How many background requests may be sent now."""
        return int((self._now + self._burst_seconds - self.until) * self.rate + 1e-6)

    def charge(self, requests: int) -> None:
        """Count this many background requests as used."""
        self.until += requests / self.rate

    def wait_seconds(self) -> float:
        """The seconds until one more background request may be sent."""
        return self.until + 1 / self.rate - self._burst_seconds - self._now


# 1. Record what the replica reports


def _record_report(ledger: Ledger, request: TokenRequest, now: float) -> list[SlidingWindow]:
    """The configured and reported windows with all reported usage."""
    windows = {
        window.rate: window.advance(now)
        for window in ledger.windows
        if not _is_forgotten(window, now)
    }
    for rate in request.rates:
        window = _window_of(windows, rate, now)
        windows[rate] = msgspec.structs.replace(window, configured_at=now)
    for late in request.late:  # it counts now, and not when it was granted
        windows = _add_to_all(windows, now, late.requests, late.background)
    for granted in (*request.unspent, *request.late):
        windows = _add_to_all(windows, granted.at, -granted.requests, -granted.background)
    for limit in request.limits:
        _record_limit(windows, limit, now)
    return list(windows.values())


def _paused_until(known: float, seconds: float, now: float) -> float:
    """The end of a pause that lasted until `known`, and now for `seconds` if these are not 0."""
    return min(max(known, now + seconds if seconds > 0 else 0.0), now + MAX_PAUSE_SECONDS)


def _add_to_all(
    windows: dict[Rate, SlidingWindow], at: float, requests: int, background: int
) -> dict[Rate, SlidingWindow]:
    return {rate: window.add(at, requests, background) for rate, window in windows.items()}


def _record_limit(windows: dict[Rate, SlidingWindow], limit: ReportedLimit, now: float) -> None:
    reported = sum(window.reported_at is not None for window in windows.values())
    if limit.rate in windows or reported < MAX_REPORTED_LIMITS:
        known = _window_of(windows, limit.rate, now)
        window = known.report(limit, now)
        windows[limit.rate] = msgspec.structs.replace(window, reported_at=now)


def _window_of(windows: dict[Rate, SlidingWindow], rate: Rate, now: float) -> SlidingWindow:
    """The window of this rate. A new window begins with the usage that another window knows."""
    if rate in windows:
        return windows[rate]
    window = SlidingWindow(rate=rate)
    if windows:
        # The finest window that reaches back as far, else the window that reaches back furthest.
        source = min(
            windows.values(),
            key=lambda known: (
                known.rate.seconds < rate.seconds,
                abs(known.rate.seconds - rate.seconds),
            ),
        )
        for end, requests, background in source.slot_ends():
            window = window.add(min(end, now), requests, background)
    return window.advance(now)


def _is_forgotten(window: SlidingWindow, now: float) -> bool:
    named_at = max(window.configured_at, window.reported_at or 0.0)
    return now - named_at > max(window.span, REPORTED_LIMIT_LIFETIME_SECONDS)


def _active(
    windows: Sequence[SlidingWindow], request: TokenRequest, now: float
) -> list[SlidingWindow]:
    """The windows that this replica keeps to: configured ones, and those reported lately."""
    reported_since = now - REPORTED_LIMIT_LIFETIME_SECONDS
    return [
        window
        for window in windows
        if window.rate in request.rates
        or (window.reported_at is not None and window.reported_at > reported_since)
    ]


# 2. Allocate tokens


def _without_paused(
    request: TokenRequest, paused_until: float, stops_until: float, now: float
) -> TokenRequest:
    """The request without the tokens of tiers that may send nothing now."""
    may_send = (stops_until <= now, paused_until <= now, paused_until <= now)
    if all(may_send):
        return request
    needed, ahead = (
        tuple(count if sends else 0 for count, sends in zip(counts, may_send, strict=True))
        for counts in (request.needed, request.ahead)
    )
    return msgspec.structs.replace(request, needed=needed, ahead=ahead)


def _allocate(
    windows: Sequence[SlidingWindow], request: TokenRequest, pace: _BackgroundPace, now: float
) -> TierCounts:
    """Tokens of each tier, the most urgent first.

    Tokens for expected requests come only from the first half of each quota.
    """
    active = _active(windows, request, now)
    usages = [(window.rate.requests, *window.spent()) for window in active]
    available = pace.available()
    tokens = [0, 0, 0]
    for counts, only_plenty in ((request.needed, False), (request.ahead, True)):
        for tier in Tier:
            free = min(_free(*usage, tokens, tier, only_plenty=only_plenty) for usage in usages)
            if tier is Tier.BACKGROUND:
                free = min(free, available - tokens[tier])
            tokens[tier] += max(min(counts[tier], free), 0)
    if not any(tokens) and any(window.probe_at is not None for window in active):
        tokens = _probe(active, request.needed, now)
    return tokens[0], tokens[1], tokens[2]


def _probe(active: Sequence[SlidingWindow], needed: TierCounts, now: float) -> list[int]:
    """A token for the most urgent request, if only the reserve for others is in its way.

    Without it, no answer would ever say that others no longer use the quota.
    """
    tokens = [0, 0, 0]
    for tier in Tier:
        full = [window for window in active if window.quota_left(tier) < 1]
        if needed[tier] and full and all(window.may_probe(tier, now) for window in full):
            tokens[tier] = 1
            break
    return tokens


def _free(
    quota: int, spent: int, background: int, tokens: Sequence[int], tier: Tier, *, only_plenty: bool
) -> int:
    spent, background = spent + sum(tokens), background + tokens[Tier.BACKGROUND]
    free = quota_left(quota, spent, background, tier)
    return min(free, quota // 2 - spent) if only_plenty else free


# 3. Charge them to every window


def _charge(
    windows: Sequence[SlidingWindow], tokens: TierCounts, pace: _BackgroundPace, now: float
) -> list[SlidingWindow]:
    spent, background = sum(tokens), tokens[Tier.BACKGROUND]
    pace.charge(background)
    if not spent:
        return list(windows)
    return [
        (window if window.probe_at is None else window.probed(now)).add(now, spent, background)
        for window in windows
    ]


# 4. Return the grant


def _grant(
    windows: Sequence[SlidingWindow],
    request: TokenRequest,
    tokens: TierCounts,
    pace: _BackgroundPace,
    paused_until: tuple[float, float, float],
    now: float,
) -> TokenGrant:
    active = _active(windows, request, now)
    waits = [max(window.wait_seconds(tier, now) for window in active) for tier in Tier]
    waits[Tier.BACKGROUND] = max(waits[Tier.BACKGROUND], pace.wait_seconds())
    return TokenGrant(
        at=now,
        tokens=tokens,
        waits=tuple(
            max(wait, until - now) for wait, until in zip(waits, paused_until, strict=True)
        ),
        paused_until=max(paused_until),
        left=max(min(window.quota_left(Tier.STOP) for window in active), 0),
    )
