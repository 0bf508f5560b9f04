"""Reads of single recordings begin in groups, and never too many a second."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.tracking.read_spacing import JOIN_SECONDS, ReadSpacing

SECONDS = 0.05


class Clock:
    """A clock in seconds that tests set."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def begins(times: list[float], *, group: int) -> list[float]:
    """When the reads begin that are taken at these times."""
    clock = Clock()
    spacing = ReadSpacing(SECONDS, group=group, ticks=clock)
    found = []
    for clock.now in times:
        found.append(clock.now + spacing.take_delay())
    return found


def test_reads_that_are_due_together_begin_together() -> None:
    assert begins([1_000.0] * 4, group=4) == [1_000.0] * 4


def test_a_group_waits_as_long_as_the_reads_of_the_one_before_it_need() -> None:
    groups = [1_000.0] * 4 + [pytest.approx(1_000.0 + 4 * SECONDS)] * 4
    assert begins([1_000.0] * 8, group=4) == groups


def test_a_group_that_is_not_full_delays_the_next_one_less() -> None:
    times = [1_000.0, 1_000.0, 1_000.02]
    assert begins(times, group=4)[2] == pytest.approx(1_000.0 + 2 * SECONDS)


def test_a_read_after_a_pause_begins_at_once() -> None:
    assert begins([1_000.0] * 4 + [1_001.0], group=4)[4] == 1_001.0


@given(
    pauses=st.lists(st.sampled_from([0.0, 0.001, JOIN_SECONDS, 0.03, SECONDS, 0.2]), max_size=40),
    group=st.integers(1, 8),
)
def test_no_time_sees_more_reads_begin_than_one_for_each_interval_and_one_group(
    pauses: list[float], group: int
) -> None:
    found = begins(list(accumulate(pauses, initial=1_000.0)), group=group)
    assert found == sorted(found)
    for first, begin in enumerate(found):
        for last in range(first, len(found)):
            permitted = group + (found[last] - begin) / SECONDS
            assert last - first + 1 <= permitted + JOIN_SECONDS / SECONDS + 1e-6
