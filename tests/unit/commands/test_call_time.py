"""The time of a start's first call by the API's clock, which decides what began since then."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.commands.operations.call_time import (
    by_api_clock,
    first_call_by_api_clock,
    is_since,
)

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@pytest.mark.parametrize("api_ahead", [-3_600, -2, 0, 2, 3_600])
@pytest.mark.parametrize("age", [0, 1.5, 60])
def test_the_time_since_the_call_is_counted_back_from_the_present_of_the_api(
    api_ahead: float, age: float
) -> None:
    first = first_call_by_api_clock(at(0), at(age), at(age + api_ahead))
    assert first == at(api_ahead - 0.25)


@pytest.mark.parametrize("now", [-0.1, -599, -600])
@pytest.mark.parametrize(("api_now", "earliest"), [(-700, -705), (300, -5), (None, -5)])
def test_if_our_clock_went_back_the_earlier_of_both_times_counts(
    now: float, api_now: float | None, earliest: float
) -> None:
    api_time = None if api_now is None else at(api_now)
    assert first_call_by_api_clock(at(0), at(now), api_time) == at(earliest)


def test_without_the_api_s_time_its_clock_may_be_five_seconds_from_ours() -> None:
    assert first_call_by_api_clock(at(0), at(40), None) == at(-5)


@pytest.mark.parametrize(("api_now", "present"), [(-7_000, -7_000), (None, -601)])
def test_a_call_that_was_stored_while_our_clock_was_ahead_may_be_an_hour_old(
    api_now: float | None, present: float
) -> None:
    api_time = None if api_now is None else at(api_now)
    assert first_call_by_api_clock(at(0), at(-601), api_time) == at(present - 3_600)


@pytest.mark.parametrize(
    ("api_now", "latest"), [(-3_560, -3_598), (40, 2), (3_640, 3_602), (None, 2)]
)
def test_a_time_of_our_clock_is_up_to_two_seconds_later_by_the_api_s_clock(
    api_now: float | None, latest: float
) -> None:
    api_time = None if api_now is None else at(api_now)
    assert by_api_clock(at(0), at(40), api_time) == at(latest)


@pytest.mark.parametrize(
    ("began", "since", "expected"),
    [
        (10.0, 10.0, True),
        (10.5, 10.5, True),
        (10.499, 10.5, False),
        (10.0, 10.999, True),  # perhaps 10.999, cut to a whole second
        (9.0, 10.0, False),
        (10.001, 10.002, False),
    ],
)
def test_a_whole_second_may_be_any_time_in_that_second(
    began: float, since: float, expected: bool
) -> None:
    assert is_since(at(began), at(since)) is expected
