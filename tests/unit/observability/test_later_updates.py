"""Updates of metrics that wait for the next scrape."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram

from worker.observability.later_updates import MAX_WAITING, LaterUpdates


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def later(registry: CollectorRegistry) -> LaterUpdates:
    return LaterUpdates(registry)


def test_a_scrape_shows_the_updates_that_waited(
    registry: CollectorRegistry, later: LaterUpdates
) -> None:
    commands = Counter("commands", "Commands.", registry=registry)
    seconds = Histogram("seconds", "Seconds.", registry=registry)
    later.add(commands.inc)
    later.add(commands.inc)
    later.add(seconds.observe, 0.25)

    assert registry.get_sample_value("commands_total") == 2
    assert registry.get_sample_value("seconds_sum") == 0.25


def test_an_update_is_made_once(registry: CollectorRegistry, later: LaterUpdates) -> None:
    commands = Counter("commands", "Commands.", registry=registry)
    later.add(commands.inc)

    registry.get_sample_value("commands_total")
    assert registry.get_sample_value("commands_total") == 1


def test_no_more_than_a_few_updates_wait_without_a_scrape(later: LaterUpdates) -> None:
    made: list[float] = []
    for number in range(MAX_WAITING + 1):
        later.add(made.append, number)

    assert made == list(range(MAX_WAITING))
