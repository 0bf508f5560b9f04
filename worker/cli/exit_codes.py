"""How a command ends: what went wrong in a line on stderr, and an exit code for scripts."""

from typing import Final

import click

from worker.domain.errors import RecordingWorkerError, StoreUnavailable, WrongSettings

FAILED: Final = 1
WRONG_INPUT: Final = 2
INTERRUPTED: Final = 130


def report_error(error: BaseException) -> int | None:
    """Say what happened and return the exit code; None for what nobody expected."""
    match error:
        case click.ClickException():
            error.show()
            return error.exit_code
        case click.Abort():
            return INTERRUPTED
        case RecordingWorkerError():
            return _say(error)
        case BaseExceptionGroup():
            return _of_group(error)
    return None


def _say(error: RecordingWorkerError) -> int:
    match error:
        case WrongSettings():
            lines, code = error.faults, WRONG_INPUT
        case StoreUnavailable():
            lines, code = (f"DATABASE_URL: {error}",), FAILED
        case _:
            lines, code = (str(error),), FAILED
    for line in lines:
        click.echo(f"Error: {line}", err=True)
    return code


def _of_group(group: BaseExceptionGroup[BaseException]) -> int | None:
    """Tasks fail together: expected only when each of them is. The same words are said once."""
    known, unknown = group.split(RecordingWorkerError)
    if known is None or unknown is not None:
        return None
    return max([_say(error) for error in {str(one): one for one in _leaves(known)}.values()])


def _leaves(group: BaseExceptionGroup[RecordingWorkerError]) -> list[RecordingWorkerError]:
    found: list[RecordingWorkerError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
