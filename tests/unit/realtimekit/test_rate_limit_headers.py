"""What is made of the headers in which the API tells of its rate limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.budget.sliding_window import ReportedLimit
from worker.domain.rate import Rate
from worker.realtimekit.rate_limit_headers import parse_rate_limits


def limits(policy: str, left: str | None = None) -> tuple[ReportedLimit, ...]:
    headers = {"ratelimit-policy": policy}
    return parse_rate_limits(headers if left is None else headers | {"ratelimit": left})


def test_a_policy_and_what_is_left_of_it_belong_together_by_name() -> None:
    assert limits('"a";q=100;w=60, "b";q=9;w=1', '"b";r=7;t=1,"a";r=50;t=30') == (
        ReportedLimit(Rate(100, 60.0), 50),
        ReportedLimit(Rate(9, 1.0), 7),
    )


def test_of_one_policy_and_one_remainder_the_names_do_not_matter() -> None:
    assert limits('"burst";q=100;w=60', '"default";r=50;t=30') == (
        ReportedLimit(Rate(100, 60.0), 50),
    )


def test_a_policy_tells_something_without_a_remainder_too() -> None:
    assert limits('"a";q=100;w=60') == (ReportedLimit(Rate(100, 60.0), None),)


def test_a_remainder_without_a_policy_tells_nothing() -> None:
    assert parse_rate_limits({"ratelimit": '"default";r=0;t=30'}) == ()


def test_no_headers_tell_nothing() -> None:
    assert parse_rate_limits({}) == ()


@pytest.mark.parametrize(
    "policy",
    [
        '"a";q=0;w=60',
        '"a";q=1;w=600',  # slower than anybody would want
        '"a";q=100;w=0',
        '"a";q=100',
        '"a";w=60',
        '"a";q=100;w=86400',
        '"a";q=-100;w=60',
        '"a";q=1e3;w=60',
        '"a";q=' + "9" * 5000 + ";w=60",
        '"a";q=\uff11;w=60',
        "",
        ";;;,,,===",
        pytest.param('"a";q=1,' * 20_000, id="long"),
    ],
)
def test_what_is_not_credible_is_disregarded(policy: str) -> None:
    assert limits(policy, '"a";r=0;t=1') == ()


def test_parameters_that_are_not_known_and_blanks_do_no_harm() -> None:
    assert limits(' "a" ; Q = 100 ; w=60 ; pk=:eA==: ; x', '"a";r=5') == (
        ReportedLimit(Rate(100, 60.0), 5),
    )


@given(policy=st.text(max_size=300), left=st.text(max_size=300))
def test_no_header_is_too_strange(policy: str, left: str) -> None:
    limits(policy, left)
