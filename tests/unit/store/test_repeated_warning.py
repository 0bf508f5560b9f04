"""How often the failures of one loop are logged."""

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from worker.store.repeated_warning import INTERVAL_SECONDS, MAX_REASONS, RepeatedWarning


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def reasons(lines: list[Any]) -> list[tuple[str, int]]:
    return [(line["reason"], line["left_out"]) for line in lines]


def test_a_loop_that_fails_for_one_reason_logs_it_every_interval(
    logged: list[Any],
) -> None:
    clock = Clock()
    warning = RepeatedWarning("lost", now=clock)
    for _ in range(13):
        warning.failed("refused")
        clock.now += INTERVAL_SECONDS / 4
    assert reasons(logged) == [("refused", 0), ("refused", 3), ("refused", 3), ("refused", 3)]
    assert {(line["event"], line["log_level"]) for line in logged} == {("lost", "warning")}


def test_a_new_reason_is_logged_at_once_and_each_reason_has_its_own_interval(
    logged: list[Any],
) -> None:
    warning = RepeatedWarning("lost", now=Clock())
    for reason in ("refused", "starting", "refused", "starting"):
        warning.failed(reason)
    assert reasons(logged) == [("refused", 0), ("starting", 0)]


def test_a_failure_after_the_loop_worked_is_logged_at_once(logged: list[Any]) -> None:
    warning = RepeatedWarning("lost", now=Clock())
    warning.failed("refused")
    warning.worked()
    warning.failed("refused")
    assert len(logged) == 2


def test_reasons_that_always_differ_take_bounded_memory(logged: list[Any]) -> None:
    warning = RepeatedWarning("lost", now=Clock())
    for number in range(10 * MAX_REASONS):
        warning.failed(f"port {number}")
        assert len(warning._due) <= MAX_REASONS
    assert len(logged) == 10 * MAX_REASONS
