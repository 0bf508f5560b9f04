"""Durations and times on the command line: one way to write them everywhere."""

import time
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner

from worker.cli.times import duration, time_or_age


def parsed(callback: Any, text: str) -> Any:
    """The value that a flag with this callback gives for the text, or the text of its error."""

    @click.command()
    @click.option("--flag", callback=callback)
    def command(flag: float) -> None:
        click.echo(repr(flag))

    result = CliRunner().invoke(command, ["--flag", text])
    return float(result.output) if result.exit_code == 0 else result.output


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604_800)],
)
def test_a_duration_is_a_number_of_seconds_or_has_a_unit(text: str, seconds: float) -> None:
    assert parsed(duration(), text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2 h", "-1", "1e3", "nan", "1w", "1h30m", "٣"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert "is not a duration such as 90s" in parsed(duration(), text)


@pytest.mark.parametrize(("text", "limit"), [("0", "at least 0.2 s"), ("2h", "at most 3600 s")])
def test_a_duration_outside_of_its_limits_is_refused(text: str, limit: str) -> None:
    assert limit in parsed(duration(least=0.2, most=3600), text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2030-01-01T10:00:00Z", datetime(2030, 1, 1, 10, tzinfo=UTC)),
        ("2030-01-01T10:00:00+02:00", datetime(2030, 1, 1, 8, tzinfo=UTC)),
        ("2030-01-01", datetime(2030, 1, 1).astimezone()),
    ],
)
def test_a_moment_is_a_time_or_the_beginning_of_a_date(text: str, time: datetime) -> None:
    assert parsed(time_or_age, text) == time.timestamp()


@pytest.mark.parametrize(("text", "age"), [("90s", 90), ("2h", 7200), ("3d", 259_200)])
def test_a_duration_is_a_moment_before_now(text: str, age: float) -> None:
    assert parsed(time_or_age, text) == pytest.approx(time.time() - age, abs=30)


@pytest.mark.parametrize("text", ["", "yesterday", "2030-01-01T10:00:00", "2030-13-01", "90"])
def test_anything_else_is_no_moment(text: str) -> None:
    assert "is neither a time such as" in parsed(time_or_age, text)


@pytest.mark.parametrize("text", ["0001-01-01", "0001-01-01T00:00:00+14:00", "999999999d"])
def test_a_moment_at_the_edge_of_the_calendar_ends_in_no_traceback(text: str) -> None:
    answer = parsed(time_or_age, text)
    assert isinstance(answer, float) or "is neither a time" in answer
