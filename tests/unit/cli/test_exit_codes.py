"""What went wrong ends a command in a line and an exit code; the unexpected stays a traceback."""

import click
import pytest

from worker.cli.exit_codes import report_error
from worker.domain.errors import (
    BrokerUnavailable,
    RecordingWorkerError,
    StoreUnavailable,
    TopologyDiffers,
    WrongSettings,
)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (WrongSettings(["A: no", "B: no"]), 2, "Error: A: no\nError: B: no\n"),
        (StoreUnavailable("away"), 1, "Error: DATABASE_URL: away\n"),
        (BrokerUnavailable("away"), 1, "Error: away\n"),
        (click.ClickException("no"), 1, "Error: no\n"),
        (click.UsageError("no"), 2, "Error: no\n"),
        (click.Abort(), 130, ""),
    ],
)
def test_what_is_expected_is_said_in_a_line(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error) == code
    assert capsys.readouterr() == ("", said)


def test_tasks_that_fail_for_one_reason_say_it_once(capsys: pytest.CaptureFixture[str]) -> None:
    group = ExceptionGroup(
        "tasks",
        [TopologyDiffers("no queue"), ExceptionGroup("more", [TopologyDiffers("no queue")])],
    )

    assert report_error(group) == 1
    assert capsys.readouterr().err == "Error: no queue\n"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        ExceptionGroup("tasks", [RecordingWorkerError("known"), KeyError("x")]),
        ExceptionGroup("tasks", [KeyError("x")]),
    ],
)
def test_what_nobody_expected_keeps_its_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error) is None
    assert capsys.readouterr().err == ""
