"""Who is served first, and with which tokens; time is what the test says it is."""

import pytest

from worker.budget.ledger import Ledger, TierCounts, TokenGrant, TokenRequest
from worker.budget.priorities import Priority, Tier
from worker.budget.sliding_window import TOKEN_LIFETIME_SECONDS
from worker.budget.token_pool import MAX_PREFETCHED, Token, TokenPool
from worker.budget.wait_queue import Waiter, WaitQueue
from worker.domain.errors import OverBudget
from worker.domain.rate import Rate

NOON = 1_790_000_000.0


def granted(stops: int = 0, acts: int = 0, background: int = 0, *, at: float = NOON) -> TokenGrant:
    return TokenGrant(
        at=at,
        tokens=(stops, acts, background),
        waits=(0.0, 0.0, 0.0),
        paused_until=0.0,
        left=0,
    )


def tokens(stops: int = 0, acts: int = 0, background: int = 0) -> TokenPool:
    held = TokenPool()
    held.add(granted(stops, acts, background))
    return held


def spend_all(held: TokenPool, tier: Tier, now: float = NOON) -> int:
    count = 0
    while held.spend(tier, now):
        count += 1
    return count


# Tokens


@pytest.mark.parametrize(
    ("tier", "served"), [(Tier.STOP, 6), (Tier.COMMAND, 5), (Tier.BACKGROUND, 3)]
)
def test_tokens_serve_their_own_tier_and_more_urgent_ones(tier: Tier, served: int) -> None:
    assert spend_all(tokens(1, 2, 3), tier) == served


def test_tokens_that_are_too_old_are_not_used_but_given_back_once() -> None:
    held = tokens(acts=5)
    held.spend(Tier.COMMAND, NOON)
    later = NOON + TOKEN_LIFETIME_SECONDS
    assert held.spend(Tier.COMMAND, later) is None
    (back,) = held.take_unspent(later)
    assert (back.at, back.requests, back.background) == (NOON, 4, 0)
    assert held.take_unspent(later) == ()


def test_what_is_given_back_says_how_much_of_it_was_background() -> None:
    held = tokens(background=5)
    held.drop_all()
    (back,) = held.take_unspent(NOON)
    assert (back.requests, back.background) == (5, 5)


def test_an_idle_replica_asks_for_nothing_ahead() -> None:
    held = tokens(acts=1)
    held.spend(Tier.COMMAND, NOON)
    assert held.prefetch(NOON, MAX_PREFETCHED) == (0, 0, 0)


def test_a_busy_one_asks_for_what_a_second_takes_and_never_for_more_than_the_most() -> None:
    held = tokens(acts=500)
    for _ in range(30):
        held.spend(Tier.COMMAND, NOON)
    held.drop_all()
    assert held.prefetch(NOON + 0.9, MAX_PREFETCHED) == (0, 30, 0)
    assert held.prefetch(NOON + 0.9, 10) == (0, 10, 0)
    assert held.prefetch(NOON + 5, MAX_PREFETCHED) == (0, 0, 0)


# The line


def in_line(line: WaitQueue, *wanted: Priority, until: float | None = None) -> list[Waiter]:
    return [line.enqueue(priority, NOON, until) for priority in wanted]


def order_of(
    line: WaitQueue, waiting: list[Waiter], held: TokenPool, now: float = NOON
) -> list[int]:
    """The places in `waiting` of those who are served, in the order in which they are."""
    served: list[int] = []

    def spend(tier: Tier, at: float) -> Token | None:
        before = [waiter.token.done() for waiter in waiting]
        served.extend(n for n, done in enumerate(before) if done and n not in served)
        return held.spend(tier, at)

    line.dispatch(spend, now)
    return [*served, *(n for n, one in enumerate(waiting) if one.token.done() and n not in served)]


async def test_the_more_urgent_goes_first_and_among_equals_who_came_first() -> None:
    line = WaitQueue()
    waiting = in_line(line, Priority.SWEEP, Priority.COMMAND, Priority.STOP, Priority.COMMAND)
    assert order_of(line, waiting, tokens(background=10)) == [2, 1, 3, 0]


async def test_every_second_token_of_the_background_is_a_sweeps_while_one_waits() -> None:
    line = WaitQueue()
    waiting = in_line(line, *[Priority.READ] * 4, *[Priority.SWEEP] * 2)
    assert order_of(line, waiting, tokens(background=10)) == [0, 4, 1, 5, 2, 3]


async def test_a_stop_is_served_in_the_midst_of_a_thousand_sweeps() -> None:
    line = WaitQueue()
    in_line(line, *[Priority.SWEEP] * 1000)
    (stop,) = in_line(line, Priority.STOP)
    line.dispatch(tokens(stops=1).spend, NOON)
    assert stop.token.done()


async def test_who_was_cancelled_gets_nothing() -> None:
    line = WaitQueue()
    gone, here = in_line(line, Priority.COMMAND, Priority.COMMAND)
    gone.token.cancel()
    assert line.count(NOON) == (0, 1, 0)
    line.dispatch(tokens(acts=1).spend, NOON)
    assert here.token.done()


async def test_a_read_that_a_command_waits_for_stands_with_the_commands_in_the_end() -> None:
    line = WaitQueue()
    in_line(line, Priority.READ)
    in_line(line, Priority.READ, until=NOON + 4)
    assert line.count(NOON + 1.9) == (0, 0, 2)
    assert line.count(NOON + 2) == (0, 1, 1)


async def test_nobody_waits_longer_than_his_patience() -> None:
    line = WaitQueue()
    (impatient,) = in_line(line, Priority.COMMAND, until=NOON + 5)
    (patient,) = in_line(line, Priority.SWEEP)
    line.reject_expired(NOON + 4.9, (0.0, 0.0, 0.0))
    assert not impatient.token.done()
    line.reject_expired(NOON + 5, (0.0, 0.0, 0.0))
    assert isinstance(impatient.token.exception(), OverBudget)
    assert not patient.token.done()


async def test_nobody_waits_at_all_for_what_comes_too_late_for_him() -> None:
    line = WaitQueue()
    (start,) = in_line(line, Priority.COMMAND, until=NOON + 5)
    line.reject_expired(NOON, (NOON + 1, NOON + 120, NOON + 1))
    error = start.token.exception()
    assert isinstance(error, OverBudget)
    assert error.retry_after == 120


async def test_a_failure_is_told_to_all_who_wait() -> None:
    line = WaitQueue()
    waiting = in_line(line, *Priority)
    line.reject_all(ValueError("away"))
    for one in waiting:
        with pytest.raises(ValueError, match="away"):
            await one.token
    assert line.count(NOON) == (0, 0, 0)


# All of it, by a clock of the test's


async def test_a_full_queue_of_sweeps_never_delays_a_stop_by_more_than_a_second() -> None:
    """One replica with a thousand sweeps in line, and a stop now and then."""
    ledger, line, held, now = Ledger(), WaitQueue(), TokenPool(), NOON
    rates = (Rate(1200, 300.0), Rate(1000, 50.0))
    in_line(line, *[Priority.SWEEP] * 1000)
    longest, stop = 0.0, None
    for tick in range(1500):
        if stop is None and tick % 37 == 0:
            stop = line.enqueue(Priority.STOP, now, None)
        needed: TierCounts = line.count(now)
        grant, ledger = ledger.apply(
            TokenRequest(rates=rates, needed=needed, unspent=held.take_unspent(now)), now
        )
        held.add(grant)
        line.dispatch(held.spend, now)
        if stop is not None and stop.token.done():
            longest, stop = max(longest, now - stop.queued_at), None
        now += 0.1
    assert longest < 1.0
