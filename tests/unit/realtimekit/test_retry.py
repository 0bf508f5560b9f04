"""Which calls are tried again, when, and for how long."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.errors import (
    ApiError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Refused,
    Throttled,
    Unauthorized,
    Unavailable,
)
from worker.realtimekit.retry import RequestRetry, retry_after_seconds

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Clock:
    """Time that passes only in `sleep`."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


class FailingCall:
    """A call that raises the given errors one after the other and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class UpperEnd(random.Random):
    """Draws the upper end of every range."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def retry(clock: Clock, **options: float) -> RequestRetry:
    return RequestRetry(
        attempts=int(options.get("attempts", 4)),
        base_seconds=options.get("base_seconds", 1.0),
        cap_seconds=options.get("cap_seconds", 5.0),
        total_seconds=options.get("total_seconds", 60.0),
        sleep=clock.sleep,
        now=clock.now,
        rng=UpperEnd(),
    )


def unavailable(retry_after: float | None = None) -> Unavailable:
    return Unavailable("server_error", "unavailable", http_status=503, retry_after=retry_after)


async def test_a_call_that_succeeds_is_made_once_without_a_pause() -> None:
    clock, call = Clock(), FailingCall()
    assert await retry(clock).call(call) == "done"
    assert (call.calls, clock.slept) == (1, [])


async def test_a_plain_function_that_returns_an_awaitable_is_awaited() -> None:
    clock, call = Clock(), FailingCall(unavailable())
    assert await retry(clock).call(lambda: call()) == "done"


async def test_a_call_that_was_certainly_not_executed_is_tried_again() -> None:
    clock, call = Clock(), FailingCall(unavailable(), unavailable())
    assert await retry(clock).call(call) == "done"
    assert call.calls == 3


async def test_the_longest_possible_pause_doubles_up_to_the_cap() -> None:
    clock, call = Clock(), FailingCall(*[unavailable() for _ in range(5)])
    await retry(clock, attempts=6).call(call)
    assert clock.slept == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_pauses_are_drawn_from_zero_upwards_so_that_many_callers_spread() -> None:
    clock = Clock()
    request_retry = RequestRetry(
        attempts=40, total_seconds=1e9, sleep=clock.sleep, now=clock.now, rng=random.Random(7)
    )
    await request_retry.call(FailingCall(*[unavailable() for _ in range(39)]))
    capped = clock.slept[6:]
    assert min(capped) < 1.0 < 4.0 < max(capped) <= 5.0


async def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    clock, last = Clock(), unavailable()
    call = FailingCall(unavailable(), unavailable(), last)
    with pytest.raises(Unavailable) as raised:
        await retry(clock, attempts=3).call(call)
    assert raised.value is last
    assert call.calls == 3


async def test_no_pause_begins_that_would_end_after_the_total_deadline() -> None:
    clock, call = Clock(), FailingCall(*[unavailable() for _ in range(9)])
    with pytest.raises(Unavailable):
        await retry(clock, attempts=9, total_seconds=6.0).call(call)
    assert clock.slept == [1.0, 2.0]


async def test_the_duration_of_the_calls_counts_towards_the_total_deadline() -> None:
    clock, calls = Clock(), 0

    async def slow() -> None:
        nonlocal calls
        calls += 1
        clock.at += 10.0
        raise unavailable()

    with pytest.raises(Unavailable):
        await retry(clock, attempts=9, total_seconds=15.0).call(slow)
    assert calls == 2


async def test_the_pause_is_at_least_the_retry_after() -> None:
    clock = Clock()
    call = FailingCall(Throttled("throttled", "slow down", retry_after=7.0))
    await retry(clock).call(call)
    assert 7.0 <= clock.slept[0] <= 8.0


async def test_a_retry_after_beyond_the_total_deadline_raises_at_once() -> None:
    clock = Clock()
    call = FailingCall(Throttled("throttled", "slow down", retry_after=300.0))
    with pytest.raises(Throttled):
        await retry(clock).call(call)
    assert (call.calls, clock.slept) == (1, [])


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("timeout", "no response"),
        Refused("bad_request", "no"),
        NotFound("not_found", "no"),
        Conflict("conflict", "no"),
        Unauthorized("unauthorized", "no"),
        ApiError("other", "no"),
        ValueError("a mistake of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_other_errors_are_raised_after_one_call(error: Exception) -> None:
    clock, call = Clock(), FailingCall(error)
    with pytest.raises(type(error)) as raised:
        await retry(clock).call(call)
    assert raised.value is error
    assert (call.calls, clock.slept) == (1, [])


async def test_many_failures_in_a_row_do_not_overflow_the_pause() -> None:
    clock, call = Clock(), FailingCall(*[unavailable() for _ in range(2000)])
    await retry(clock, attempts=3000, total_seconds=1e9).call(call)
    assert max(clock.slept) == 5.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", 1.5),
        ("1.5.2", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("9" * 5000, 600.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 600.0),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds


def test_an_http_date_is_compared_with_the_given_now() -> None:
    value = "Sun, 01 Mar 2026 12:01:00 GMT"
    later = [NOW + timedelta(seconds=passed) for passed in (0, 20, 90)]
    assert [retry_after_seconds(value, now=now) for now in later] == [60.0, 40.0, 0.0]
