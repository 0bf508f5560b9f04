"""Requests that wait for a token. Every `now` is in seconds, by the clock that replicas share."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from worker.budget.ledger import TierCounts
from worker.budget.priorities import Priority, Tier
from worker.budget.token_pool import Token
from worker.domain.errors import OverBudget

SpendToken = Callable[[Tier, float], Token | None]
"""Takes a token for a request of this tier at this time; None when there is none."""


class Waiter(NamedTuple):
    """A request that waits since `queued_at`, until `deadline` or without a time limit."""

    queued_at: float
    deadline: float | None
    token: asyncio.Future[Token]

    @property
    def promoted_at(self) -> float | None:
        """When half of the waiting time is over; None without a time limit."""
        return None if self.deadline is None else (self.queued_at + self.deadline) / 2


class WaitQueue:
    """Waiting requests, the most urgent first, within a priority in order of arrival.

    In the background tier reads go before sweeps, but while a sweep waits it gets every second
    token. A command waits for a read that has a deadline. When half of the read's waiting time is
    over, the read is promoted to the commands.
    """

    def __init__(self) -> None:
        self._queues: dict[Priority, deque[Waiter]] = {priority: deque() for priority in Priority}
        self._sweep_is_next = False

    def enqueue(self, priority: Priority, now: float, deadline: float | None) -> Waiter:
        """Add a request; `Waiter.token` gets its token, OverBudget, or the error of the store."""
        waiter = Waiter(now, deadline, asyncio.get_running_loop().create_future())
        self._queues[priority].append(waiter)
        return waiter

    def count(self, now: float) -> TierCounts:
        """How many requests wait for each tier."""
        self._update(now)
        stops, commands, reads, sweeps = (len(queue) for queue in self._queues.values())
        return stops, commands, reads + sweeps

    def dispatch(self, spend: SpendToken, now: float) -> None:
        """Hand out tokens as long as `spend` returns one for the first request of some tier."""
        self._update(now)
        while (priority := self._dispatch_one(spend, now)) is not None:
            if priority.tier is Tier.BACKGROUND:
                self._sweep_is_next = priority is Priority.READ

    def reject_unservable(self, now: float, available_at: Sequence[float]) -> None:
        """End with OverBudget every request whose deadline is before its tier has a token.

        `available_at` is, for each tier, the time when there may be a token.
        """
        self._update(now)
        for priority, queue in self._queues.items():
            at = available_at[priority.tier]
            if priority is Priority.READ:  # it may be promoted to the commands
                at = min(at, available_at[Tier.COMMAND])
            for waiter in queue:
                if waiter.deadline is not None and max(now, at) >= waiter.deadline:
                    waiter.token.set_exception(over_budget_error(at - now))
        self._update(now)

    def restart_waits(self, now: float) -> None:
        """Count the waiting time of requests from `now`, if they came later by a clock that was set
        back since. Otherwise they would wait longer by that difference."""
        for queue in self._queues.values():
            waiting = [_counted_from(now, waiter) for waiter in queue]
            queue.clear()
            queue.extend(waiting)

    def reject_all(self, error: Exception) -> None:
        """End every waiting request with `error`."""
        for queue in self._queues.values():
            for waiter in queue:
                if not waiter.token.done():
                    waiter.token.set_exception(error)
            queue.clear()

    def wakeup_times(self) -> Iterator[float]:
        """The times at which the queue changes without a call: deadlines, and promotions of
        reads."""
        for queue in self._queues.values():
            yield from (waiter.deadline for waiter in queue if waiter.deadline is not None)
        reads = self._queues[Priority.READ]
        yield from (waiter.promoted_at for waiter in reads if waiter.promoted_at is not None)

    def _dispatch_one(self, spend: SpendToken, now: float) -> Priority | None:
        """Hand out one token. Returns the priority that got it, None when no request could."""
        for priority in self._order():
            queue = self._queues[priority]
            if queue and (token := spend(priority.tier, now)):
                queue.popleft().token.set_result(token)
                return priority
        return None

    def _order(self) -> tuple[Priority, ...]:
        if self._sweep_is_next:
            return Priority.STOP, Priority.COMMAND, Priority.SWEEP, Priority.READ
        return tuple(Priority)

    def _update(self, now: float) -> None:
        """Remove requests that are done or cancelled, and promote reads."""
        for queue in self._queues.values():
            if any(waiter.token.done() for waiter in queue):
                waiting = [waiter for waiter in queue if not waiter.token.done()]
                queue.clear()
                queue.extend(waiting)
        reads = self._queues[Priority.READ]
        promoted = [
            waiter
            for waiter in reads
            if waiter.promoted_at is not None and now >= waiter.promoted_at
        ]
        for waiter in promoted:
            reads.remove(waiter)
            self._queues[Priority.COMMAND].append(waiter)


def _counted_from(now: float, waiter: Waiter) -> Waiter:
    earlier_by = waiter.queued_at - now
    if earlier_by <= 0 or waiter.deadline is None:
        return waiter
    return waiter._replace(queued_at=now, deadline=waiter.deadline - earlier_by)


def over_budget_error(seconds: float) -> OverBudget:
    """The error for a request for which there is no quota left for this many seconds."""
    retry_after = max(seconds, 0.0)
    return OverBudget(
        "over_budget",
        f"the API request budget is exhausted; there may be quota left in {retry_after:.0f} s",
        retry_after=retry_after,
    )
