"""Parses the headers in which the API announces its rate limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.budget.sliding_window import ReportedLimit
from worker.domain.rate import Rate
from worker.realtimekit.rate_limit_headers import parse_rate_limits


def limits(policy: str, left: str | None = None) -> tuple[ReportedLimit, ...]:
    headers = {"ratelimit-policy": policy}
    return parse_rate_limits(headers if left is None else headers | {"ratelimit": left})


def test_a_policy_and_its_remaining_quota_belong_together_by_name() -> None:
    assert limits('"a";q=100;w=60, "b";q=9;w=1', '"b";r=7;t=1,"a";r=50;t=30') == (
        ReportedLimit(Rate(100, 60.0), 50, 30),
        ReportedLimit(Rate(9, 1.0), 7, 1),
    )


def test_one_policy_and_one_remainder_belong_together_with_any_names() -> None:
    assert limits('"burst";q=100;w=60', '"default";r=50;t=30') == (
        ReportedLimit(Rate(100, 60.0), 50, 30),
    )


def test_a_policy_without_a_remainder_is_a_limit() -> None:
    assert limits('"a";q=100;w=60') == (ReportedLimit(Rate(100, 60.0), None),)


def test_a_remainder_without_a_policy_is_ignored() -> None:
    assert parse_rate_limits({"ratelimit": '"default";r=0;t=30'}) == ()


def test_without_headers_there_are_no_limits() -> None:
    assert parse_rate_limits({}) == ()


@pytest.mark.parametrize(
    "policy",
    [
        '"a";q=0;w=60',
        '"a";q=1;w=600',  # too slow to be true
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
def test_policies_that_are_not_credible_are_ignored(policy: str) -> None:
    assert limits(policy, '"a";r=0;t=1') == ()


def test_unknown_parameters_and_blanks_are_ignored() -> None:
    assert limits(' "a" ; Q = 100 ; w=60 ; pk=:eA==: ; x', '"a";r=5') == (
        ReportedLimit(Rate(100, 60.0), 5),
    )


@given(policy=st.text(max_size=300), left=st.text(max_size=300))
def test_no_header_raises_an_error(policy: str, left: str) -> None:
    limits(policy, left)
