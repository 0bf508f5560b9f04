"""Reports the error that ended a command: one line on stderr, and an exit code for scripts."""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import click

from worker.domain.errors import RecordingWorkerError, StoreUnavailable, WrongSettings
from worker.domain.escaping import escape_controls

FAILED: Final = 1
WRONG_INPUT: Final = 2
INTERRUPTED: Final = 130

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a write to stdout, if stdout is a file. The worker's own files are not here: their
errors have their own classes."""


def report_error(error: BaseException) -> int | None:
    """Print an expected error and return the exit code. Return None for an unexpected error."""
    match error:
        case click.ClickException():
            return _show(error)
        case click.Abort():
            return INTERRUPTED
        case RecordingWorkerError():
            return _print(error)
        case BaseExceptionGroup():
            return _report_group(error)
        case OSError() if error.errno in _NO_SPACE:
            _discard(sys.stdout)
            _say(f"Error: the output cannot be written: {error.strerror}")
            return FAILED
    return None


def _say(line: str) -> None:
    """Write a line to stderr. If that fails too, only the exit code reports the error."""
    try:
        click.echo(line, err=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: IO[str]) -> None:
    """Discard further output. Otherwise the interpreter would try once more at its exit, and
    exit with 120."""
    with Path(os.devnull).open("wb") as nothing, suppress(io.UnsupportedOperation):
        os.dup2(nothing.fileno(), stream.fileno())


def _show(error: click.ClickException) -> int:
    """Print an error of click in its own form. It may repeat texts from a database."""
    text = io.StringIO()
    error.show(text)
    for line in text.getvalue().splitlines():
        _say(escape_controls(line))
    return error.exit_code


def _print(error: RecordingWorkerError) -> int:
    match error:
        case WrongSettings():
            lines, code = error.faults, WRONG_INPUT
        case StoreUnavailable():
            lines, code = (f"DATABASE_URL: {error}",), FAILED
        case _:
            lines, code = (str(error),), FAILED
    for line in lines:
        _say(f"Error: {escape_controls(line)}")
    return code


def _report_group(group: BaseExceptionGroup[BaseException]) -> int | None:
    """Print each text once. A group with any unexpected error counts as unexpected."""
    expected, unexpected = group.split(RecordingWorkerError)
    if expected is None or unexpected is not None:
        return None
    by_text = {str(error): error for error in _leaves(expected)}
    return max([_print(error) for error in by_text.values()])


def _leaves(group: BaseExceptionGroup[RecordingWorkerError]) -> list[RecordingWorkerError]:
    leaves: list[RecordingWorkerError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
