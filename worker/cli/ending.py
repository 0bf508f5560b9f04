"""How a command ends: what went wrong in a line on stderr, and an exit code for scripts."""

import os
import sys
from typing import Final

import click

from worker.errors import RecordingWorkerError, WrongSettings

FAILED: Final = 1
WRONG_INPUT: Final = 2
INTERRUPTED: Final = 130


def exit_code_of(error: BaseException) -> int | None:
    """Say what happened and return the exit code; None for what nobody expected."""
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case click.Abort():
            return INTERRUPTED
        case BrokenPipeError():
            # Whoever read our output has had enough. Python would complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return FAILED
        case WrongSettings():
            for fault in error.faults:
                click.echo(f"Error: {fault}", err=True)
            return WRONG_INPUT
        case RecordingWorkerError():
            click.echo(f"Error: {error}", err=True)
            return FAILED
        case BaseExceptionGroup():
            return _of_group(error)
    return None


def _of_group(group: BaseExceptionGroup[BaseException]) -> int | None:
    """Tasks fail together: expected only when each of them is."""
    known, unknown = group.split(RecordingWorkerError)
    if known is None or unknown is not None:
        return None
    said = {str(error): error for error in _leaves(known)}
    return max(exit_code_of(error) or FAILED for error in said.values())


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
