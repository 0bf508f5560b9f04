"""One sliding window of a budget, and what was spent in it."""

import math
from collections.abc import Iterator
from typing import Final, Self

import msgspec

from worker.budget.priorities import Tier, background_share, room
from worker.domain.rate import Rate

LIFETIME_SECONDS: Final = 2.0
"""How long leave may be used after it was given."""

MARGIN_SECONDS: Final = 1.0
"""How far two clocks may differ, and how long a request may be on its way. What takes longer is
told afterwards (`Ask.late`)."""

SLOTS: Final = 50
"""A window is counted in so many parts."""

Entry = tuple[int, int, int]
"""A slot's number, what was spent in it, and how much of that in the background."""

PHASES: Final = 4
"""A window is remembered in so many parts for what others spent of it."""

OtherUsage = tuple[int, int]
"""A phase's number, and the most that others were seen in it to have spent of the window.

While we spend much, what is on its way hides some of what they do: a maximum does not forget it.
"""


class Limit(msgspec.Struct, frozen=True):
    """What an answer of the API said of a limit: its rate, and how many requests are left of it."""

    rate: Rate
    left: int | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A rate, and what was spent in its time, the oldest slot first.

    `asked_at` is when a replica last went by it, `told_at` when the API last told of it. `others`
    are programs that use the same token, as far as the API told of them.
    """

    rate: Rate
    asked_at: float = 0.0
    told_at: float | None = None
    log: tuple[Entry, ...] = ()
    others: tuple[OtherUsage, ...] = ()

    @property
    def span(self) -> float:
        """For how many seconds what was spent counts."""
        return self.rate.seconds + LIFETIME_SECONDS + MARGIN_SECONDS

    @property
    def background_rate(self) -> float:
        """Requests per second that the background may make for ever."""
        return background_share(self.rate.requests) / self.span

    def totals(self) -> tuple[int, int]:
        """What counts, and how much of it was background."""
        spent, background = self._kept_for_others(), 0
        for _, requests, of_it in self.log:
            spent += requests
            background += of_it
        return spent, background

    def room(self, tier: Tier) -> int:
        """How many more requests of this tier may be made."""
        return room(self.rate.requests, *self.totals(), tier)

    def wait(self, tier: Tier, now: float) -> float:
        """The seconds until one more request of this tier may be made."""
        spent, background = self.totals()
        ends = now
        for slot, requests, of_it in self.log:
            if room(self.rate.requests, spent, background, tier) >= 1:
                break
            spent, background = spent - requests, background - of_it
            ends = (slot + 1) * self._width + self.span
        else:
            if room(self.rate.requests, spent, background, tier) < 1:
                ends = self._forgets_others_at(now)
        return max(ends - now, 0.0)

    def at(self, now: float) -> Self:
        """Without what no longer counts. What a clock that went back left in the future is now."""
        phase, first, last = self._phase(now), self._slot(now - self.span), self._slot(now)
        others = tuple(one for one in self.others if phase - PHASES <= one[0] <= phase)
        window = self if others == self.others else msgspec.structs.replace(self, others=others)
        if not self.log or (self.log[0][0] >= first and self.log[-1][0] <= last):
            return window
        past = tuple(one for one in self.log if first <= one[0] <= last)
        future = [one for one in self.log if one[0] > last]
        window = msgspec.structs.replace(window, log=past)
        return window.plus(now, sum(one[1] for one in future), sum(one[2] for one in future))

    def plus(self, at: float, requests: int, background: int) -> Self:
        """With so much more spent at `at`; less when negative, but never less than nothing."""
        slot = self._slot(at)
        if requests > 0 and (not self.log or slot > self.log[-1][0]):
            return msgspec.structs.replace(self, log=(*self.log, (slot, requests, background)))
        slots = {one[0]: one for one in self.log}
        _, spent, of_it = slots.get(slot, (slot, 0, 0))
        spent = max(spent + requests, 0)
        slots[slot] = (slot, spent, min(max(of_it + background, 0), spent))
        log = tuple(slots[key] for key in sorted(slots) if slots[key][1])
        return msgspec.structs.replace(self, log=log)

    def less_by_others(self, left: int | None, now: float) -> Self:
        """The API has only `left` requests left: what is missing was spent by somebody else."""
        if left is None:
            return self
        by_others = self.rate.requests - left - sum(requests for _, requests, _ in self.log)
        phase = self._phase(now)
        if by_others <= dict(self.others).get(phase, 0):
            return self
        earlier = (one for one in self.others if one[0] != phase)
        return msgspec.structs.replace(self, others=(*earlier, (phase, by_others)))

    def _kept_for_others(self) -> int:
        """They will go on as they did, but not quite evenly."""
        most = max((most for _, most in self.others), default=0)
        return most + math.isqrt(most)

    def _forgets_others_at(self, now: float) -> float:
        last = max((phase for phase, _ in self.others), default=self._phase(now))
        return (last + PHASES + 1) * self.span / PHASES

    def times(self) -> Iterator[tuple[float, int, int]]:
        """What was spent, a slot's at its end."""
        for slot, requests, background in self.log:
            yield (slot + 1) * self._width, requests, background

    def _phase(self, at: float) -> int:
        return math.floor(at / self.span * PHASES)

    @property
    def _width(self) -> float:
        return self.rate.seconds / SLOTS

    def _slot(self, at: float) -> int:
        return math.floor(at / self._width)
