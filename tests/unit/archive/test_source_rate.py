"""When a source is too slow."""

import pytest

from worker.archive.download.source_rate import PERIOD_SECONDS, SourceRate
from worker.archive.errors import SourceUnavailable

MIN_RATE = 1000


class SlowSource:
    """A source whose clock moves while the copy waits for it."""

    def __init__(self, min_rate: int = MIN_RATE) -> None:
        self.now = 0.0
        self._rate = SourceRate(min_rate, ticks=lambda: self.now)

    def bring(self, count: int, *, seconds: float) -> None:
        self._rate.begin()
        self.now += seconds
        self._rate.brought(count)


def bring_for_long(source: SlowSource, count: int, seconds: float) -> None:
    while source.now < 10 * PERIOD_SECONDS:
        source.bring(count, seconds=seconds)


@pytest.mark.parametrize("rate", [0, 1, MIN_RATE - 1])
@pytest.mark.parametrize("seconds", [1.0, 59.0, PERIOD_SECONDS])
def test_a_source_below_the_least_rate_is_tried_later_when_the_period_is_over(
    rate: int, seconds: float
) -> None:
    source = SlowSource()
    with pytest.raises(SourceUnavailable, match=rf"{rate} bytes a second; at least {MIN_RATE}"):
        bring_for_long(source, int(rate * seconds), seconds)
    assert PERIOD_SECONDS <= source.now < PERIOD_SECONDS + seconds


@pytest.mark.parametrize("rate", [MIN_RATE, 100 * MIN_RATE])
def test_a_source_at_the_least_rate_is_fast_enough_for_ever(rate: int) -> None:
    source = SlowSource()
    for _ in range(1000):
        source.bring(rate * 10, seconds=10.0)


def test_a_source_may_be_slow_for_less_than_the_period() -> None:
    source = SlowSource()
    for _ in range(20):
        source.bring(0, seconds=PERIOD_SECONDS - 1)
        source.bring(int(MIN_RATE * PERIOD_SECONDS), seconds=1.0)


def test_each_period_counts_by_itself() -> None:
    source = SlowSource()
    source.bring(int(1000 * MIN_RATE * PERIOD_SECONDS), seconds=PERIOD_SECONDS)
    with pytest.raises(SourceUnavailable, match="source_slow"):
        source.bring(0, seconds=PERIOD_SECONDS)


def test_time_that_the_copy_spends_elsewhere_makes_no_source_slow() -> None:
    source = SlowSource()
    for _ in range(100):
        source.bring(MIN_RATE, seconds=1.0)
        source.now += 3600  # the storage is slow, or the bandwidth is limited


def test_with_zero_no_source_is_too_slow() -> None:
    SlowSource(min_rate=0).bring(0, seconds=10 * PERIOD_SECONDS)
