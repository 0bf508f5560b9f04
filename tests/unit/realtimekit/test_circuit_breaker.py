"""When the API counts as away, and who may ask it then."""

import asyncio

import pytest

from worker.domain.errors import (
    OutcomeUnknown,
    Refused,
    Throttled,
    Unauthorized,
    Unavailable,
)
from worker.realtimekit.circuit_breaker import (
    FAILURE_THRESHOLD,
    MAX_OPEN_SECONDS,
    MIN_OPEN_SECONDS,
    CircuitBreaker,
)

AWAY = Unavailable("timeout", "no answer")


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def test_a_few_failures_in_a_row_are_an_outage(outage: CircuitBreaker) -> None:
    for _ in range(FAILURE_THRESHOLD - 1):
        outage.record(AWAY)
    assert not outage.is_open
    outage.record(AWAY)
    assert outage.is_open


def test_an_answer_in_between_begins_the_count_anew(outage: CircuitBreaker) -> None:
    for _ in range(FAILURE_THRESHOLD * 3):
        outage.record(AWAY)
        outage.record(None)
    assert not outage.is_open


@pytest.mark.parametrize("error", [Throttled("throttled", "x"), Unauthorized("unauthorized", "x")])
def test_a_pause_that_was_asked_for_and_a_refused_token_are_an_outage_at_once(
    outage: CircuitBreaker, error: Unavailable
) -> None:
    outage.record(error)
    assert outage.is_open


@pytest.mark.parametrize("answer", [None, Refused("bad_request", "no")])
def test_any_answer_ends_an_outage(outage: CircuitBreaker, answer: Refused | None) -> None:
    outage.record(Throttled("throttled", "x"))
    outage.record(answer)
    assert not outage.is_open
    assert outage.allow_request()


def test_nobody_asks_before_the_time_the_api_named(outage: CircuitBreaker, clock: Clock) -> None:
    outage.record(Throttled("throttled", "x", retry_after=300))
    clock.seconds += 299
    assert not outage.allow_request()
    clock.seconds += 2
    assert outage.allow_request()


def test_a_time_that_was_named_to_a_start_whose_outcome_is_unknown_counts_as_well(
    outage: CircuitBreaker, clock: Clock
) -> None:
    for _ in range(FAILURE_THRESHOLD):
        outage.record(OutcomeUnknown("server_error", "x", retry_after=300))
    clock.seconds += 299
    assert not outage.allow_request()
    clock.seconds += 2
    assert outage.allow_request()


def test_pauses_grow_up_to_a_bound(outage: CircuitBreaker, clock: Clock) -> None:
    pauses = []
    for _ in range(12):
        outage.record(Unauthorized("unauthorized", "x"))
        pause = 0.0
        while not outage.allow_request():
            clock.seconds += 0.5
            pause += 0.5
        pauses.append(pause)
    assert pauses[0] == MIN_OPEN_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_OPEN_SECONDS


async def test_what_was_on_its_way_when_it_began_makes_no_pause_longer(
    outage: CircuitBreaker, clock: Clock
) -> None:
    for _ in range(FAILURE_THRESHOLD + 100):
        outage.record(AWAY)
    clock.seconds += MIN_OPEN_SECONDS
    assert await outage.acquire_probe(1.0)
    for _ in range(100):
        outage.record(AWAY)
    clock.seconds += 2 * MIN_OPEN_SECONDS
    assert outage.allow_request()


async def test_a_late_failure_still_moves_the_pause_to_where_the_api_asked(
    outage: CircuitBreaker, clock: Clock
) -> None:
    outage.record(Throttled("throttled", "x", retry_after=5))
    outage.record(Throttled("throttled", "x", retry_after=60))
    clock.seconds += 59
    assert not outage.allow_request()
    clock.seconds += 1
    assert outage.allow_request()


async def test_one_asks_at_a_time_and_the_next_waits_for_what_it_finds(
    outage: CircuitBreaker, clock: Clock
) -> None:
    outage.record(Throttled("throttled", "x"))
    clock.seconds += MIN_OPEN_SECONDS
    assert await outage.acquire_probe(1.0)
    assert not outage.allow_request()
    assert not await outage.acquire_probe(0.01)


async def test_everybody_goes_on_when_the_outage_ends(outage: CircuitBreaker) -> None:
    outage.record(Throttled("throttled", "x", retry_after=1000))
    waiting = [asyncio.create_task(outage.acquire_probe(10.0)) for _ in range(5)]
    outage.record(None)
    assert await asyncio.gather(*waiting) == [True] * 5


def test_whoever_wants_to_know_is_told_when_it_begins_and_when_it_ends(
    outage: CircuitBreaker,
) -> None:
    told: list[bool] = []
    outage.on_change(lambda: told.append(outage.is_open))
    outage.record(Throttled("throttled", "x"))
    outage.record(Throttled("throttled", "x"))
    outage.record(None)
    assert told == [True, False]


async def test_nobody_waits_for_the_api_when_the_worker_is_about_to_end(
    outage: CircuitBreaker,
) -> None:
    outage.record(Throttled("throttled", "x", retry_after=1000))
    waiting = [asyncio.create_task(outage.acquire_probe(10.0)) for _ in range(5)]
    outage.stop_waiting()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [False] * 5


async def test_when_the_api_is_back_nobody_stands_behind_those_who_waited(
    outage: CircuitBreaker,
) -> None:
    outage.record(Throttled("throttled", "x", retry_after=1000.0))
    waiting = [asyncio.create_task(outage.acquire_probe(5.0)) for _ in range(3)]
    await asyncio.sleep(0)
    outage.record(None)
    assert await outage.acquire_probe(0.0)
    assert await asyncio.gather(*waiting) == [True, True, True]


def test_it_is_known_for_how_long_the_api_has_been_away(
    outage: CircuitBreaker, clock: Clock
) -> None:
    outage.record(Throttled("throttled", "x"))
    clock.seconds += 7
    outage.record(Throttled("throttled", "x"))
    assert outage.open_for() == 7
    outage.record(None)
    clock.seconds += 7
    assert outage.open_for() == 0
