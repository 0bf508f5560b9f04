"""When the circuit opens and closes, and which requests it allows."""

import asyncio

import pytest

from worker.domain.errors import (
    OutcomeUnknown,
    Refused,
    RefusedForNow,
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

UNAVAILABLE = Unavailable("timeout", "no response")


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def test_failures_in_a_row_open_the_circuit(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURE_THRESHOLD - 1):
        breaker.record(UNAVAILABLE)
    assert not breaker.is_open
    breaker.record(UNAVAILABLE)
    assert breaker.is_open


def test_a_success_resets_the_count_of_failures(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURE_THRESHOLD * 3):
        breaker.record(UNAVAILABLE)
        breaker.record(None)
    assert not breaker.is_open


@pytest.mark.parametrize("error", [Throttled("throttled", "x"), Unauthorized("unauthorized", "x")])
def test_throttling_and_a_refused_token_open_the_circuit_at_once(
    breaker: CircuitBreaker, error: Unavailable
) -> None:
    breaker.record(error)
    assert breaker.is_open


@pytest.mark.parametrize("error", [None, Refused("bad_request", "no")])
def test_a_success_or_a_refusal_closes_the_circuit(
    breaker: CircuitBreaker, error: Refused | None
) -> None:
    breaker.record(Throttled("throttled", "x"))
    breaker.record(error)
    assert not breaker.is_open
    assert breaker.allow_request()


def test_no_request_is_allowed_before_retry_after(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.record(Throttled("throttled", "x", retry_after=300))
    clock.seconds += 299
    assert not breaker.allow_request()
    clock.seconds += 2
    assert breaker.allow_request()


def test_the_retry_after_of_a_start_with_an_unknown_outcome_counts_too(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    for _ in range(FAILURE_THRESHOLD):
        breaker.record(OutcomeUnknown("server_error", "x", retry_after=300))
    clock.seconds += 299
    assert not breaker.allow_request()
    clock.seconds += 2
    assert breaker.allow_request()


def test_pauses_grow_up_to_the_maximum(breaker: CircuitBreaker, clock: Clock) -> None:
    pauses = []
    for _ in range(12):
        breaker.record(Unauthorized("unauthorized", "x"))
        pause = 0.0
        while not breaker.allow_request():
            clock.seconds += 0.5
            pause += 0.5
        pauses.append(pause)
    assert pauses[0] == MIN_OPEN_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_OPEN_SECONDS


async def test_requests_on_their_way_when_the_circuit_opened_do_not_double_the_pause(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    for _ in range(FAILURE_THRESHOLD + 100):
        breaker.record(UNAVAILABLE)
    clock.seconds += MIN_OPEN_SECONDS
    assert await breaker.acquire_probe(1.0)
    for _ in range(100):
        breaker.record(UNAVAILABLE)
    clock.seconds += 2 * MIN_OPEN_SECONDS
    assert breaker.allow_request()


async def test_a_late_failure_still_extends_the_pause_to_its_retry_after(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.record(Throttled("throttled", "x", retry_after=5))
    breaker.record(Throttled("throttled", "x", retry_after=60))
    clock.seconds += 59
    assert not breaker.allow_request()
    clock.seconds += 1
    assert breaker.allow_request()


async def test_a_half_open_circuit_allows_one_probe_at_a_time(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.record(Throttled("throttled", "x"))
    clock.seconds += MIN_OPEN_SECONDS
    assert await breaker.acquire_probe(1.0)
    assert not breaker.allow_request()
    assert not await breaker.acquire_probe(0.01)


@pytest.mark.parametrize("urgent", [False, True])
async def test_a_probe_that_no_request_used_passes_to_the_next_caller(
    breaker: CircuitBreaker, clock: Clock, urgent: bool
) -> None:
    breaker.record(Throttled("throttled", "x"))
    clock.seconds += MIN_OPEN_SECONDS
    for _ in range(3):
        assert await breaker.acquire_probe(0.0, urgent=urgent)
        breaker.return_probe(urgent=urgent)
    assert await breaker.acquire_probe(0.0, urgent=urgent)
    breaker.record(Throttled("throttled", "x"))
    breaker.return_probe(urgent=urgent)
    assert not await breaker.acquire_probe(0.0, urgent=urgent), "a request used this one"


@pytest.mark.parametrize("code", ["capacity", "forbidden"])
def test_a_temporary_refusal_of_the_product_closes_the_circuit_and_never_opens_it(
    breaker: CircuitBreaker, code: str
) -> None:
    for _ in range(FAILURE_THRESHOLD * 3):
        breaker.record(RefusedForNow(code, "x"))
    assert not breaker.is_open
    breaker.record(Throttled("throttled", "x"))
    breaker.record(RefusedForNow(code, "x"))
    assert not breaker.is_open


async def test_an_urgent_caller_does_not_wait_for_a_pause_that_the_api_did_not_ask_for(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    for _ in range(FAILURE_THRESHOLD):
        breaker.record(UNAVAILABLE)
    for _ in range(6):
        clock.seconds += MAX_OPEN_SECONDS
        assert await breaker.acquire_probe(1.0)
        breaker.record(UNAVAILABLE)
    clock.seconds += MIN_OPEN_SECONDS
    assert not await breaker.acquire_probe(0.01)
    assert await breaker.acquire_probe(1.0, urgent=True)
    assert not await breaker.acquire_probe(0.01, urgent=True), "one of them every second"
    clock.seconds += MIN_OPEN_SECONDS
    assert await breaker.acquire_probe(1.0, urgent=True)


async def test_an_urgent_caller_waits_for_a_pause_that_the_api_asked_for(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.record(Throttled("throttled", "x", retry_after=60))
    clock.seconds += 59
    assert not await breaker.acquire_probe(0.01, urgent=True)
    clock.seconds += 1
    assert await breaker.acquire_probe(1.0, urgent=True)


async def test_all_waiting_callers_continue_when_the_circuit_closes(
    breaker: CircuitBreaker,
) -> None:
    breaker.record(Throttled("throttled", "x", retry_after=1000))
    waiting = [asyncio.create_task(breaker.acquire_probe(10.0)) for _ in range(5)]
    breaker.record(None)
    assert await asyncio.gather(*waiting) == [True] * 5


def test_callbacks_run_when_the_circuit_opens_and_when_it_closes(
    breaker: CircuitBreaker,
) -> None:
    states: list[bool] = []
    breaker.on_change(lambda: states.append(breaker.is_open))
    breaker.record(Throttled("throttled", "x"))
    breaker.record(Throttled("throttled", "x"))
    breaker.record(None)
    assert states == [True, False]


async def test_no_caller_waits_after_stop_waiting(
    breaker: CircuitBreaker,
) -> None:
    breaker.record(Throttled("throttled", "x", retry_after=1000))
    waiting = [asyncio.create_task(breaker.acquire_probe(10.0)) for _ in range(5)]
    breaker.stop_waiting()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [False] * 5


async def test_a_closed_circuit_lets_new_callers_pass_those_that_still_wait(
    breaker: CircuitBreaker,
) -> None:
    breaker.record(Throttled("throttled", "x", retry_after=1000.0))
    waiting = [asyncio.create_task(breaker.acquire_probe(5.0)) for _ in range(3)]
    await asyncio.sleep(0)
    breaker.record(None)
    assert await breaker.acquire_probe(0.0)
    assert await asyncio.gather(*waiting) == [True, True, True]


def test_open_for_is_the_time_since_the_circuit_opened(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    breaker.record(Throttled("throttled", "x"))
    clock.seconds += 7
    breaker.record(Throttled("throttled", "x"))
    assert breaker.open_for() == 7
    breaker.record(None)
    clock.seconds += 7
    assert breaker.open_for() == 0


# One kind of read fails, and the API executes commands


def fail_reads(breaker: CircuitBreaker, clock: Clock, error: Unavailable, seconds: float) -> None:
    """Reads are sent whenever the circuit allows it, and each of them fails."""
    for _ in range(FAILURE_THRESHOLD):
        breaker.record(error)
    until = clock.seconds + seconds
    while clock.seconds < until:
        clock.seconds += 0.5
        if breaker.allow_request():
            breaker.record(error)


async def test_failed_reads_do_not_delay_a_command(breaker: CircuitBreaker, clock: Clock) -> None:
    fail_reads(breaker, clock, UNAVAILABLE, 300)
    assert await breaker.acquire_probe(0.0)
    breaker.record(None)
    assert not breaker.is_open


async def test_after_failed_reads_one_command_at_a_time_probes_and_their_pause_grows(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail_reads(breaker, clock, UNAVAILABLE, 300)
    pauses = []
    for _ in range(8):
        pauses.append(0.0)
        while not await breaker.acquire_probe(0.0):
            clock.seconds += 0.5
            pauses[-1] += 0.5
        assert not breaker.allow_request(), "reads wait for the result of the probe"
        breaker.record(UNAVAILABLE)
    assert pauses == [0.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize("error", [Throttled("throttled", "x"), Unauthorized("unauthorized", "x")])
async def test_a_command_waits_as_long_as_reads_for_what_concerns_the_whole_api(
    breaker: CircuitBreaker, clock: Clock, error: Unavailable
) -> None:
    fail_reads(breaker, clock, error, 300)
    clock.seconds += MAX_OPEN_SECONDS - 1
    while breaker.allow_request():
        breaker.record(error)
    assert not await breaker.acquire_probe(0.0)
    clock.seconds += MAX_OPEN_SECONDS
    assert await breaker.acquire_probe(0.0)


async def test_a_command_waits_for_the_pause_that_a_failed_read_was_asked_for(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail_reads(breaker, clock, UNAVAILABLE, 10)
    clock.seconds += MAX_OPEN_SECONDS
    breaker.record(Unavailable("server_error", "x", retry_after=60))
    clock.seconds += 59
    assert not await breaker.acquire_probe(0.0)
    clock.seconds += 1
    assert await breaker.acquire_probe(0.0)
