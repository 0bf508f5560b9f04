"""Requests that wait for leave. Every `now` is in seconds by the clock that replicas share."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from worker.budget.ledger import Counts
from worker.budget.priorities import Priority, Tier
from worker.budget.token_pool import Token
from worker.domain.errors import OverBudget


class Waiter(NamedTuple):
    """A request in line since `since`; its patience ends at `until`, or never."""

    since: float
    until: float | None
    token: asyncio.Future[Token]

    @property
    def presses_at(self) -> float | None:
        """When half of its patience is over."""
        return None if self.until is None else (self.since + self.until) / 2


class WaitQueue:
    """Who waits, the most urgent first, of the same priority in the order of arrival.

    Of what runs in the background, reads go first, but every second token is a sweep's while one
    waits. A read with an end to its patience has a command behind it: when half of it is over, it
    stands with the commands.
    """

    def __init__(self) -> None:
        self._lines: dict[Priority, deque[Waiter]] = {priority: deque() for priority in Priority}
        self._sweep_is_next = False

    def enqueue(self, priority: Priority, now: float, until: float | None) -> Waiter:
        """Get in line."""
        waiter = Waiter(now, until, asyncio.get_running_loop().create_future())
        self._lines[priority].append(waiter)
        return waiter

    def needed(self, now: float) -> Counts:
        """How many wait for each tier."""
        self._tidy(now)
        stops, acts, reads, sweeps = (len(line) for line in self._lines.values())
        return stops, acts, reads + sweeps

    def dispatch(self, spend: Callable[[Tier, float], Token | None], now: float) -> None:
        """Hand out tokens while `spend` has one for the first in line of some tier."""
        self._tidy(now)
        while (priority := self._next(spend, now)) is not None:
            if priority.tier is Tier.BACKGROUND:
                self._sweep_is_next = priority is Priority.READ

    def reject_expired(self, now: float, free_at: Sequence[float]) -> None:
        """Let nobody wait whose patience ends before its tier's moment of `free_at`."""
        self._tidy(now)
        for priority, line in self._lines.items():
            at = free_at[priority.tier]
            if priority is Priority.READ:  # it may come to stand with the commands
                at = min(at, free_at[Tier.COMMAND])
            for waiter in line:
                if waiter.until is not None and max(now, at) >= waiter.until:
                    waiter.token.set_exception(over_budget(at - now))
        self._tidy(now)

    def fail(self, error: Exception) -> None:
        """Nobody can be served: raise this to all who wait."""
        for line in self._lines.values():
            for waiter in line:
                if not waiter.token.done():
                    waiter.token.set_exception(error)
            line.clear()

    def moments(self) -> Iterator[float]:
        """When something becomes different by itself: a patience ends, a read begins to press."""
        for line in self._lines.values():
            yield from (one.until for one in line if one.until is not None)
        reads = self._lines[Priority.READ]
        yield from (one.presses_at for one in reads if one.presses_at is not None)

    def _next(self, spend: Callable[[Tier, float], Token | None], now: float) -> Priority | None:
        """Serve one; None when there is nobody left who can be."""
        for priority in self._order():
            line = self._lines[priority]
            if line and (token := spend(priority.tier, now)):
                line.popleft().token.set_result(token)
                return priority
        return None

    def _order(self) -> tuple[Priority, ...]:
        if self._sweep_is_next:
            return Priority.STOP, Priority.COMMAND, Priority.SWEEP, Priority.READ
        return tuple(Priority)

    def _tidy(self, now: float) -> None:
        """Forget who was cancelled, and let the reads that press stand with the commands."""
        for line in self._lines.values():
            if any(one.token.done() for one in line):
                kept = [one for one in line if not one.token.done()]
                line.clear()
                line.extend(kept)
        reads = self._lines[Priority.READ]
        pressing = [one for one in reads if one.presses_at is not None and now >= one.presses_at]
        for one in pressing:
            reads.remove(one)
            self._lines[Priority.COMMAND].append(one)


def over_budget(seconds: float) -> OverBudget:
    """What is raised to a request for which there is no leave for so long."""
    again = max(seconds, 0.0)
    return OverBudget(
        "over_budget",
        f"the budget of API requests is spent; there is more in about {again:.0f} s",
        retry_after=again,
    )
