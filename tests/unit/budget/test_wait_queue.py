"""In which order waiting requests get tokens, and which tokens. The test sets the time."""

import pytest

from worker.budget.ledger import Ledger, TierCounts, TokenGrant, TokenRequest
from worker.budget.priorities import Priority, Tier
from worker.budget.sliding_window import TOKEN_LIFETIME_SECONDS
from worker.budget.token_pool import MAX_PREFETCHED, Token, TokenPool
from worker.budget.wait_queue import Waiter, WaitQueue
from worker.domain.errors import OverBudget
from worker.domain.rate import Rate

NOON = 1_790_000_000.0


def tokens(stops: int = 0, commands: int = 0, background: int = 0) -> TokenPool:
    granted, waits = (stops, commands, background), (0.0, 0.0, 0.0)
    pool = TokenPool()
    pool.add(TokenGrant(at=NOON, tokens=granted, waits=waits, paused_until=0.0, left=0))
    return pool


def spend_all(pool: TokenPool, tier: Tier) -> int:
    count = 0
    while pool.spend(tier, NOON):
        count += 1
    return count


# Tokens


@pytest.mark.parametrize(
    ("tier", "served"), [(Tier.STOP, 6), (Tier.COMMAND, 5), (Tier.BACKGROUND, 3)]
)
def test_tokens_serve_their_own_tier_and_more_urgent_ones(tier: Tier, served: int) -> None:
    assert spend_all(tokens(1, 2, 3), tier) == served


def test_expired_tokens_are_returned_once_and_not_spent() -> None:
    pool = tokens(commands=5)
    pool.spend(Tier.COMMAND, NOON)
    later = NOON + TOKEN_LIFETIME_SECONDS
    assert pool.spend(Tier.COMMAND, later) is None
    (usage,) = pool.take_unspent(later)
    assert (usage.at, usage.requests, usage.background) == (NOON, 4, 0)
    assert pool.take_unspent(later) == ()


def test_returned_tokens_say_how_many_were_background() -> None:
    pool = tokens(background=5)
    pool.drop_all()
    (usage,) = pool.take_unspent(NOON)
    assert (usage.requests, usage.background) == (5, 5)


def test_an_idle_replica_prefetches_nothing() -> None:
    pool = tokens(commands=1)
    pool.spend(Tier.COMMAND, NOON)
    assert pool.tokens_to_prefetch(NOON, MAX_PREFETCHED) == (0, 0, 0)


def test_a_busy_replica_prefetches_the_demand_of_one_and_a_half_seconds_up_to_the_limit() -> None:
    pool = tokens(commands=500)
    for _ in range(30):
        pool.spend(Tier.COMMAND, NOON)
    pool.drop_all()
    assert pool.tokens_to_prefetch(NOON + 0.9, MAX_PREFETCHED) == (0, 45, 0)
    assert pool.tokens_to_prefetch(NOON + 0.9, 10) == (0, 10, 0)
    assert pool.tokens_to_prefetch(NOON + 5, MAX_PREFETCHED) == (0, 0, 0)


# The queue


def enqueue(queue: WaitQueue, *priorities: Priority, deadline: float | None = None) -> list[Waiter]:
    return [queue.enqueue(priority, NOON, deadline) for priority in priorities]


def dispatch_order(queue: WaitQueue, waiting: list[Waiter], pool: TokenPool) -> list[int]:
    """The indexes in `waiting` of the requests that get a token, in that order."""
    served: list[int] = []

    def spend(tier: Tier, at: float) -> Token | None:
        before = [waiter.token.done() for waiter in waiting]
        served.extend(number for number, done in enumerate(before) if done and number not in served)
        return pool.spend(tier, at)

    queue.dispatch(spend, NOON)
    return [
        *served,
        *(
            number
            for number, waiter in enumerate(waiting)
            if waiter.token.done() and number not in served
        ),
    ]


async def test_more_urgent_requests_go_first_and_equal_ones_in_order_of_arrival() -> None:
    queue = WaitQueue()
    waiting = enqueue(queue, Priority.SWEEP, Priority.COMMAND, Priority.STOP, Priority.COMMAND)
    assert dispatch_order(queue, waiting, tokens(background=10)) == [2, 1, 3, 0]


async def test_sweeps_get_every_second_background_token_while_one_waits() -> None:
    queue = WaitQueue()
    waiting = enqueue(queue, *[Priority.READ] * 4, *[Priority.SWEEP] * 2)
    assert dispatch_order(queue, waiting, tokens(background=10)) == [0, 4, 1, 5, 2, 3]


async def test_a_command_between_a_read_and_a_sweep_does_not_take_the_sweeps_turn() -> None:
    queue = WaitQueue()
    waiting = enqueue(queue, Priority.READ, Priority.READ, Priority.SWEEP)
    assert dispatch_order(queue, waiting, tokens(background=1)) == [0]
    waiting += enqueue(queue, Priority.COMMAND)
    for _ in range(2):
        queue.dispatch(tokens(background=1).spend, NOON)
    assert [waiter.token.done() for waiter in waiting] == [True, False, True, True]


async def test_a_stop_is_served_before_a_thousand_sweeps() -> None:
    queue = WaitQueue()
    enqueue(queue, *[Priority.SWEEP] * 1000)
    (stop,) = enqueue(queue, Priority.STOP)
    queue.dispatch(tokens(stops=1).spend, NOON)
    assert stop.token.done()


async def test_a_cancelled_request_gets_no_token() -> None:
    queue = WaitQueue()
    cancelled, kept = enqueue(queue, Priority.COMMAND, Priority.COMMAND)
    cancelled.token.cancel()
    assert queue.count(NOON) == (0, 1, 0)
    queue.dispatch(tokens(commands=1).spend, NOON)
    assert kept.token.done()


async def test_a_read_with_a_deadline_is_promoted_after_half_of_its_waiting_time() -> None:
    queue = WaitQueue()
    enqueue(queue, Priority.READ)
    enqueue(queue, Priority.READ, deadline=NOON + 4)
    assert queue.count(NOON + 1.9) == (0, 0, 2)
    assert queue.count(NOON + 2) == (0, 1, 1)


async def test_a_request_is_rejected_at_its_deadline() -> None:
    queue = WaitQueue()
    (impatient,) = enqueue(queue, Priority.COMMAND, deadline=NOON + 5)
    (patient,) = enqueue(queue, Priority.SWEEP)
    queue.reject_unservable(NOON + 4.9, (0.0, 0.0, 0.0))
    assert not impatient.token.done()
    queue.reject_unservable(NOON + 5, (0.0, 0.0, 0.0))
    assert isinstance(impatient.token.exception(), OverBudget)
    assert not patient.token.done()


async def test_a_request_whose_token_would_be_too_late_is_rejected_at_once() -> None:
    queue = WaitQueue()
    (start,) = enqueue(queue, Priority.COMMAND, deadline=NOON + 5)
    queue.reject_unservable(NOON, (NOON + 1, NOON + 120, NOON + 1))
    error = start.token.exception()
    assert isinstance(error, OverBudget)
    assert error.retry_after == 120


async def test_a_read_is_rejected_only_if_a_token_for_commands_would_be_too_late_as_well() -> None:
    queue = WaitQueue()
    (read,) = enqueue(queue, Priority.READ, deadline=NOON + 5)
    queue.reject_unservable(NOON, (NOON, NOON + 4, NOON + 120))
    assert not read.token.done()
    queue.reject_unservable(NOON, (NOON, NOON + 6, NOON + 120))
    assert isinstance(read.token.exception(), OverBudget)


async def test_an_error_is_raised_to_all_waiting_requests() -> None:
    queue = WaitQueue()
    waiting = enqueue(queue, *Priority)
    queue.reject_all(ValueError("unavailable"))
    for waiter in waiting:
        with pytest.raises(ValueError, match="unavailable"):
            await waiter.token
    assert queue.count(NOON) == (0, 0, 0)


# Everything together


async def test_a_full_queue_of_sweeps_never_delays_a_stop_by_more_than_a_second() -> None:
    """One replica has a thousand waiting sweeps, and a stop now and then."""
    ledger, queue, pool, now = Ledger(), WaitQueue(), TokenPool(), NOON
    rates = (Rate(1200, 300.0), Rate(1000, 50.0))
    enqueue(queue, *[Priority.SWEEP] * 1000)
    longest_wait, stop = 0.0, None
    for tick in range(1500):
        if stop is None and tick % 37 == 0:
            stop = queue.enqueue(Priority.STOP, now, None)
        needed: TierCounts = queue.count(now)
        grant, ledger = ledger.apply(
            TokenRequest(rates=rates, needed=needed, unspent=pool.take_unspent(now)), now
        )
        pool.add(grant)
        queue.dispatch(pool.spend, now)
        if stop is not None and stop.token.done():
            longest_wait, stop = max(longest_wait, now - stop.queued_at), None
        now += 0.1
    assert longest_wait < 1.0
