"""Tokens and rate limits."""

from sandbox.api.auth import RateLimiter, Tokens
from sandbox.model.behaviour import Behaviour


def limiter(*rates: str, block: float = 300.0) -> tuple[RateLimiter, list[float]]:
    now = [0.0]
    behaviour = Behaviour(rate_limits=rates, real_rate_block_seconds=block)
    return RateLimiter(behaviour, ticks=lambda: now[0]), now


def test_a_breach_blocks_every_call_for_the_whole_penalty() -> None:
    door, now = limiter("2/10")
    waits = [door.seconds_to_wait(1, recordings=False) for _ in range(3)]

    now[0] = 299.5
    blocked = door.seconds_to_wait(1, recordings=False)
    now[0] = 300.5
    after = door.seconds_to_wait(1, recordings=False)

    assert (waits, blocked, after) == ([None, None, 300], 1, None)
    assert door.breaches == 1


def test_a_window_slides() -> None:
    door, now = limiter("2/10")
    for moment in (0.0, 6.0, 10.0, 16.0):
        now[0] = moment
        assert door.seconds_to_wait(1, recordings=False) is None


def test_tokens_have_budgets_of_their_own() -> None:
    door, _ = limiter("1/10")
    door.seconds_to_wait(1, recordings=False)

    assert door.seconds_to_wait(2, recordings=False) is None


def test_a_limit_for_recordings_leaves_other_calls_alone() -> None:
    door, _ = limiter("1/10:recordings")
    door.seconds_to_wait(1, recordings=True)

    assert door.seconds_to_wait(1, recordings=False) is None
    assert door.seconds_to_wait(1, recordings=True) == 300


def test_the_headers_tell_of_the_window_that_is_nearest_to_its_end() -> None:
    door, now = limiter("100/60", "4/10")
    door.seconds_to_wait(1, recordings=True)
    now[0] = 3.0

    assert door.headers(1) == {
        "Ratelimit": '"default";r=3;t=7',
        "Ratelimit-Policy": '"default";q=4;w=10',
    }


def test_any_bearer_token_is_good_until_it_is_revoked() -> None:
    tokens = Tokens(Behaviour())
    before = tokens.number("Bearer secret")

    tokens.revoke("secret")

    assert (before, tokens.number("Bearer secret")) == (1, None)
    assert tokens.number("Bearer other") is not None


def test_in_strict_mode_only_listed_tokens_are_good() -> None:
    tokens = Tokens(Behaviour(strict=True), ("listed",))

    assert tokens.number("bearer listed") is not None
    assert tokens.number("Bearer other") is None


def test_no_token_or_another_scheme_is_not_good() -> None:
    tokens = Tokens(Behaviour())

    answers = [tokens.number(header) for header in (None, "", "Bearer", "Bearer ", "Basic eDp5")]

    assert answers == [None] * 5


def test_no_token_can_be_read_out_of_the_door() -> None:
    tokens = Tokens(Behaviour(), ("listed-secret",))
    tokens.number("Bearer used-secret")

    assert "secret" not in repr(vars(tokens))


def test_an_api_may_say_nothing_of_its_limits() -> None:
    behaviour = Behaviour(rate_limits=("2/10",), rate_headers=False)
    assert RateLimiter(behaviour).headers(1) == {}
