"""One sliding window of a budget, and the requests that were spent in it.

Every time is in seconds since the epoch, by the clock that the replicas share.
"""

import math
from typing import Final, Self

import msgspec

from worker.budget.priorities import Tier, background_quota, quota_left
from worker.domain.rate import Rate

TOKEN_LIFETIME_SECONDS: Final = 2.0
"""How long a token may be used after the ledger granted it."""

ARRIVAL_MARGIN_SECONDS: Final = 1.0
"""How far two clocks may differ, and how long a request may travel. A request that takes longer
is reported afterwards (`TokenRequest.late`)."""

SLOTS_PER_WINDOW: Final = 50
"""Spent requests are counted in this many slots for each window."""

OPEN_SHARE: Final = 0.1
"""If the API reports that others have used up the quota, and later that they have not, this
share is no longer reserved for them."""

PROBE_INTERVAL_SECONDS: Final = 10.0
"""While everything is reserved, requests are sent at least this far apart."""

MAX_REPORT_AGE_SECONDS: Final = 2.0
"""Up to this age, every request that the API counted in a report is in our window, too."""

PHASES_PER_WINDOW: Final = 4
"""The usage of other programs is remembered in this many phases for each window."""

STORED_AS: Final = {"configured_at": "asked_at", "reported_at": "told_at", "slots": "log"}
"""Field names in the JSON of stored ledgers. Databases that exist depend on them."""


Slot = tuple[int, int, int]
"""A slot's number since the epoch, the requests spent in it, and the background ones among them.

A plain tuple, because ledgers are decoded for every block of tokens.
"""

OtherUsage = tuple[int, int]
"""A phase's number since the epoch, and the most requests that other programs had spent in it.

A maximum, because while we spend much, our requests in flight hide a part of their usage.
"""


class ReportedLimit(msgspec.Struct, frozen=True):
    """A rate limit from an API response: its rate, how many requests are `left`, and the seconds
    until there are more, if known. The response is `age` seconds old."""

    rate: Rate
    left: int | None = None
    resets_in: float | None = None
    age: float = 0.0


class SlidingWindow(msgspec.Struct, frozen=True, kw_only=True, rename=STORED_AS):
    """A rate, and the requests that were spent within its time, oldest slot first.

    `configured_at` is when a replica with this rate in its settings last took tokens, `reported_at`
    when the API last reported this limit. `others` is the usage of other programs with the same API
    token, as far as the API reports it. While everything is reserved for them, `probe_at` is the
    time from which one request may be sent, because the API announced new quota for that time.
    """

    rate: Rate
    configured_at: float = 0.0
    reported_at: float | None = None
    slots: tuple[Slot, ...] = ()
    others: tuple[OtherUsage, ...] = ()
    probe_at: float | None = None

    @property
    def span(self) -> float:
        """For how many seconds a spent request counts."""
        return self.rate.seconds + TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS

    @property
    def background_rate(self) -> float:
        """Requests per second that the background may make on average."""
        return background_quota(self.rate.requests) / self.span

    def spent(self) -> tuple[int, int]:
        """The requests that count against the rate, and the background requests among them."""
        spent, background = self._spent_by_us()
        return spent + self._reserved_for_others(), background

    def quota_left(self, tier: Tier) -> int:
        """How many more requests of this tier may be made; below 1 when none."""
        return quota_left(self.rate.requests, *self.spent(), tier)

    def wait_seconds(self, tier: Tier, now: float) -> float:
        """The seconds until one more request of this tier may be made."""
        spent, background = self.spent()
        free_at = now
        for number, requests, of_background in self.slots:
            if quota_left(self.rate.requests, spent, background, tier) >= 1:
                break
            spent, background = spent - requests, background - of_background
            free_at = self._slot_end(number) + self.span
        else:
            if quota_left(self.rate.requests, spent, background, tier) < 1:
                free_at = self._others_forgotten_at(now)
        if self.probe_at is not None and self._own_quota_left(tier) >= 1:
            free_at = min(free_at, self.probe_at)
        return max(free_at - now, 0.0)

    def may_probe(self, tier: Tier, now: float) -> bool:
        """Whether one request of this tier may be sent although all is reserved for others."""
        is_due = self.probe_at is not None and self.probe_at <= now
        return is_due and self._own_quota_left(tier) >= 1

    def advance(self, now: float) -> Self:
        """The window at `now`: without usage that no longer counts.

        If the clock went back, usage in the future is moved to `now`.
        """
        phase, first, last = self._phase(now), self._slot(now - self.span), self._slot(now)
        others = tuple(
            usage for usage in self.others if phase - PHASES_PER_WINDOW <= usage[0] <= phase
        )
        probe_at = None
        if self.probe_at is not None and others:
            probe_at = min(self.probe_at, now + self.span)
        window = self
        if others != self.others or probe_at != self.probe_at:
            window = msgspec.structs.replace(self, others=others, probe_at=probe_at)
        if not self.slots or (self.slots[0][0] >= first and self.slots[-1][0] <= last):
            return window
        past = tuple(slot for slot in self.slots if first <= slot[0] <= last)
        future = [slot for slot in self.slots if slot[0] > last]
        window = msgspec.structs.replace(window, slots=past)
        return window.add(now, sum(slot[1] for slot in future), sum(slot[2] for slot in future))

    def add(self, at: float, requests: int, background: int) -> Self:
        """The window with this many more requests spent at `at`.

        Negative numbers take requests back; a slot never falls below zero.
        """
        number = self._slot(at)
        if requests > 0 and (not self.slots or number > self.slots[-1][0]):
            slots = (*self.slots, (number, requests, background))
            return msgspec.structs.replace(self, slots=slots)
        by_number = {slot[0]: slot for slot in self.slots}
        _, spent, of_background = by_number.get(number, (number, 0, 0))
        spent = max(spent + requests, 0)
        of_background = min(max(of_background + background, 0), spent)
        by_number[number] = (number, spent, of_background)
        slots = tuple(by_number[key] for key in sorted(by_number) if by_number[key][1])
        return msgspec.structs.replace(self, slots=slots)

    def report(self, limit: ReportedLimit, now: float) -> Self:
        """The window after the API reported this limit of its rate.

        Requests that are neither left nor ours were spent by other programs. If they spent
        everything, one request is tried when the limit resets, unless the API did not give that
        time.
        """
        left, resets_in = limit.left, limit.resets_in
        if left is None:
            return self
        by_others = self.rate.requests - left - sum(requests for _, requests, _ in self.slots)
        if limit.age > MAX_REPORT_AGE_SECONDS:
            # The API may have counted requests of ours that are no longer in the window.
            by_others = min(by_others, self._most_by_others())
        phase, known = self._phase(now), self._without_probe(by_others)
        if by_others > dict(known.others).get(phase, 0):
            earlier = (usage for usage in known.others if usage[0] != phase)
            known = msgspec.structs.replace(known, others=(*earlier, (phase, by_others)))
        if resets_in is None or known.quota_left(Tier.STOP) >= 1:
            return known
        probe_at = now + min(max(resets_in, 1.0), self.span)
        return msgspec.structs.replace(known, probe_at=probe_at)

    def probed(self, now: float) -> Self:
        """The window after a request for which `may_probe` was true."""
        return msgspec.structs.replace(self, probe_at=now + PROBE_INTERVAL_SECONDS)

    def slot_ends(self) -> list[tuple[float, int, int]]:
        """The end, the requests and the background requests of each slot."""
        return [
            (self._slot_end(number), requests, background)
            for number, requests, background in self.slots
        ]

    def _without_probe(self, by_others: int) -> Self:
        """The window after an answer to a probe: with a smaller reserve, if others spent less.

        While everything was reserved, we had almost no requests in flight that could hide their
        usage.
        """
        if self.probe_at is None:
            return self
        quota = self.rate.requests
        most = max(quota - max(int(quota * OPEN_SHARE), 1) - math.isqrt(quota), by_others, 0)
        others = tuple((phase, min(requests, most)) for phase, requests in self.others)
        return msgspec.structs.replace(self, others=others, probe_at=None)

    def _spent_by_us(self) -> tuple[int, int]:
        """Our requests that count against the rate, and the background requests among them."""
        spent, background = 0, 0
        for _, requests, of_background in self.slots:
            spent += requests
            background += of_background
        return spent, background

    def _own_quota_left(self, tier: Tier) -> int:
        """The quota that would be left if others spent nothing."""
        return quota_left(self.rate.requests, *self._spent_by_us(), tier)

    def _reserved_for_others(self) -> int:
        """The quota reserved for other programs: their highest usage plus its square root."""
        highest = self._most_by_others()
        return highest + math.isqrt(highest)

    def _most_by_others(self) -> int:
        return max((requests for _, requests in self.others), default=0)

    def _others_forgotten_at(self, now: float) -> float:
        last = max((phase for phase, _ in self.others), default=self._phase(now))
        return (last + PHASES_PER_WINDOW + 1) * self.span / PHASES_PER_WINDOW

    def _phase(self, at: float) -> int:
        return math.floor(at / self.span * PHASES_PER_WINDOW)

    def _slot(self, at: float) -> int:
        return math.floor(at / self._slot_seconds)

    def _slot_end(self, number: int) -> float:
        return (number + 1) * self._slot_seconds

    @property
    def _slot_seconds(self) -> float:
        return self.rate.seconds / SLOTS_PER_WINDOW
