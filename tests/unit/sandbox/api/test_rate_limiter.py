"""Rate limits per token, and the headers that report them."""

from recording_sandbox.api.rate_limiter import RateLimiter
from recording_sandbox.model.behaviour import Behaviour


def limiter_with_clock(*limits: str) -> tuple[RateLimiter, list[float]]:
    now = [0.0]
    behaviour = Behaviour(rate_limits=limits, real_rate_block_seconds=300.0)
    return RateLimiter(behaviour, monotonic=lambda: now[0]), now


def test_a_breach_blocks_every_call_of_the_token_for_the_whole_penalty() -> None:
    limiter, now = limiter_with_clock("2/10")
    waits = [limiter.acquire(1, recordings=False) for _ in range(3)]

    now[0] = 299.5
    blocked = limiter.acquire(1, recordings=False)
    now[0] = 300.5
    after = limiter.acquire(1, recordings=False)

    assert (waits, blocked, after) == ([None, None, 300], 1, None)
    assert limiter.breaches == 1


def test_the_window_slides() -> None:
    limiter, now = limiter_with_clock("2/10")
    for seconds in (0.0, 6.0, 10.0, 16.0):
        now[0] = seconds
        assert limiter.acquire(1, recordings=False) is None


def test_each_token_has_separate_limits() -> None:
    limiter, _ = limiter_with_clock("1/10")
    limiter.acquire(1, recordings=False)

    assert limiter.acquire(2, recordings=False) is None


def test_a_limit_for_recordings_does_not_count_other_calls() -> None:
    limiter, _ = limiter_with_clock("1/10:recordings")
    limiter.acquire(1, recordings=True)

    assert limiter.acquire(1, recordings=False) is None
    assert limiter.acquire(1, recordings=True) == 300


def test_the_headers_report_the_limit_of_which_the_smallest_share_is_left() -> None:
    limiter, now = limiter_with_clock("100/60", "4/10")
    limiter.acquire(1, recordings=True)
    now[0] = 3.0

    assert limiter.headers(1) == {
        "Ratelimit": '"default";r=3;t=7',
        "Ratelimit-Policy": '"default";q=4;w=10',
    }


def test_the_headers_can_be_turned_off() -> None:
    behaviour = Behaviour(rate_limits=("2/10",), rate_headers=False)

    assert RateLimiter(behaviour).headers(1) == {}
