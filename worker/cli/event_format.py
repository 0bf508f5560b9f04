"""Events and outcomes in a line for people, with colours that a pipe does not get."""

from typing import Final, assert_never

import click

from recording_schemas import (
    CloudEvent,
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    Completed,
    FileReady,
    Outcome,
    Status,
    StatusChanged,
    outcome_of,
)
from worker.cli.output import printable

COLOURS: Final = {
    "succeeded": "green",
    "rejected": "red",
    "expired": "yellow",
    "failed": "red",
    Status.INVOKED: "blue",
    Status.RECORDING: "cyan",
    Status.PAUSED: "yellow",
    Status.UPLOADING: "blue",
    Status.UPLOADED: "green",
    Status.ERRORED: "red",
}


def event_line(event: CloudEvent) -> str:
    """One line: when (local time), what, and about which recording or command."""
    when = click.style(event.time.astimezone().strftime("%H:%M:%S"), dim=True)
    match event.data:
        case StatusChanged() as data:
            what = _padded(data.status.value, COLOURS[data.status])
            words = f"{data.kind} {data.recording_id}  {_status_words(data)}"
        case FileReady() as data:
            what = _padded(f"file {data.file_index}/{data.file_count}", "magenta")
            words = f"{data.kind} {data.recording_id}  {_file_words(data)}"
        case Completed() as data:
            what = _padded("completed", "green")
            words = f"{data.kind} {data.recording_id}  {_count(data.file_count, 'file')}"
        case outcome:
            what = _padded(outcome_of(outcome), COLOURS[outcome_of(outcome)])
            words = f"{outcome.command_type} {outcome.command_id}  {_outcome_words(outcome)}"
    return f"{when}  {what}  {printable(words)}"


def _padded(text: str, colour: str) -> str:
    return click.style(text.ljust(9), fg=colour, bold=True)


def _status_words(data: StatusChanged) -> str:
    words = [
        f"meeting {data.meeting_id}" if data.meeting_id else "",
        f"was {data.previous_status.value}" if data.previous_status else "",
        f"seen by {data.observed_by}",
        f"({data.stop_reason})" if data.stop_reason else "",
        f"{data.error.code}: {data.error.message}" if data.error else "",
    ]
    return "  ".join(word for word in words if word)


def _file_words(data: FileReady) -> str:
    owner = data.custom_participant_id or data.user_id or "owner unknown"
    where = data.download_url or "in the customer's own storage"
    return f"{data.file_name}  {owner}  {where.partition('?')[0]}"


def _outcome_words(data: Outcome) -> str:
    match data:
        case CommandSucceeded():
            return "recordings: " + (", ".join(data.recording_ids) or "none")
        case CommandRejected():
            return f"{data.code}: {data.message}"
        case CommandExpired():
            return f"its deadline passed first, {_count(data.attempts, 'attempt')}"
        case CommandFailed():
            error = data.last_error
            return f"{error.code}: {error.message}, {_count(data.attempts, 'attempt')}"
    assert_never(data)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
