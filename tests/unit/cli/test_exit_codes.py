"""An expected error is one line and an exit code; an unexpected one stays a traceback."""

import errno

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
    ("error", "code", "printed"),
    [
        (WrongSettings(["A: no", "B: no"]), 2, "Error: A: no\nError: B: no\n"),
        (StoreUnavailable("away"), 1, "Error: DATABASE_URL: away\n"),
        (BrokerUnavailable("away"), 1, "Error: away\n"),
        (click.ClickException("no"), 1, "Error: no\n"),
        (click.UsageError("no"), 2, "Error: no\n"),
        (click.ClickException("\x9b2J no\n\u202eyes"), 1, "Error: \\x9b2J no\n\\u202eyes\n"),
        (click.Abort(), 130, ""),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "Error: the output cannot be written: No space left on device\n",
        ),
    ],
)
def test_an_expected_error_is_printed_as_one_line(
    error: Exception, code: int, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error) == code
    assert capsys.readouterr() == ("", printed)


def test_tasks_that_fail_for_one_reason_print_it_once(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_an_unexpected_error_keeps_its_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error) is None
    assert capsys.readouterr().err == ""
