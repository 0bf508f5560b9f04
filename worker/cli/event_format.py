"""Renders an event or outcome as one line for users. click drops the colours in a pipe."""

import re
from typing import Final, assert_never

import click

from recording_schemas import (
    Archived,
    ArchiveEvent,
    ArchiveFailed,
    CloudEvent,
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    Completed,
    FileArchived,
    FileEvent,
    FileReady,
    FileUrlRenewed,
    Outcome,
    Status,
    StatusChanged,
    outcome_of,
)
from worker.cli.text import cells, counted, cut_end, cut_middle, listed_people
from worker.cli.times import in_local_zone
from worker.domain.escaping import escape_controls
from worker.domain.short_ids import SHOWN_DIGITS, UUID

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
_LABEL_WIDTH: Final = 9
_TIME_WIDTH: Final = 8
_WHOLE_UUID: Final = re.compile(rf"(?<![\w-]){UUID.pattern}(?![\w-])", re.IGNORECASE)
_LEFT_OUT: Final = re.compile(r"  was [A-Z]+(?=  )|  [a-z0-9]+://\S*")
"""The previous status, and URLs. `recordings show` has all fields."""

_COMMAND_TYPE: Final = re.compile(r"^([a-z]+(?:_[a-z]+)?)_recording(?= )")

MAX_WORDS: Final = (36, 28, 22, 16)
"""Words are cut to the first of these widths with which the line fits, else to the last."""


def event_line(event: CloudEvent) -> str:
    """The local time, what happened, and the id of the recording or command."""
    return "  ".join(_parts(event))


def short_event_line(event: CloudEvent, width: int) -> str:
    """The same in `width` columns: ids are short, long names cut, and the rest may be cut off."""
    time, label, text = _parts(event)
    text = _WHOLE_UUID.sub(lambda match: match[0][:SHOWN_DIGITS], text)
    text = _COMMAND_TYPE.sub(r"\1", _LEFT_OUT.sub("", text)).replace("observed by", "by")
    return f"{time}  {label}  {_fitted(text, width - _TIME_WIDTH - _LABEL_WIDTH - 4)}"


def _fitted(text: str, width: int) -> str:
    forms = [
        " ".join(cut_middle(word, max_word) for word in text.split(" ")) for max_word in MAX_WORDS
    ]
    return next((form for form in forms if cells(form) <= width), cut_end(forms[0], width))


def _parts(event: CloudEvent) -> tuple[str, str, str]:
    """The styled time and label, and the text."""
    time = click.style(f"{in_local_zone(event.time):%H:%M:%S}", dim=True)
    match event.data:
        case StatusChanged() as data:
            label = _label(data.status.value, COLOURS[data.status])
            text = f"{data.kind} {data.recording_id}  {_status_text(data)}"
        case FileReady() as data:
            label = _label(f"file {data.file_index}/{data.file_count}", "magenta")
            text = f"{data.kind} {data.recording_id}  {_file_text(data)}"
        case FileUrlRenewed() as data:
            label = _label("new url", "magenta")
            text = f"{data.kind} {data.recording_id}  {_file_text(data)}"
        case Completed() as data:
            label = _label("completed", "green")
            text = f"{data.kind} {data.recording_id}  {_completed_text(data)}"
        case FileArchived() | Archived() | ArchiveFailed() as data:
            label = _archive_label(data)
            text = f"{data.kind} {data.recording_id}  {_archive_text(data)}"
        case CommandSucceeded() | CommandRejected() | CommandExpired() | CommandFailed() as data:
            label = _label(outcome_of(data), COLOURS[outcome_of(data)])
            text = f"{data.command_type} {data.command_id}  {_outcome_text(data)}"
        case _:
            assert_never(event.data)
    return time, label, escape_controls(text)


def _label(text: str, colour: str) -> str:
    return click.style(text.ljust(_LABEL_WIDTH), fg=colour, bold=True)


def _status_text(data: StatusChanged) -> str:
    parts = [
        f"meeting {data.meeting_id}" if data.meeting_id else "",
        f"was {data.previous_status.value}" if data.previous_status else "",
        f"observed by {data.observed_by}",
        f"({data.stop_reason})" if data.stop_reason else "",
        f"{data.error.code}: {data.error.message}" if data.error else "",
    ]
    return "  ".join(part for part in parts if part)


def _file_text(data: FileEvent) -> str:
    owner = data.custom_participant_id or data.user_id or "owner unknown"
    place = data.download_url or "in your own storage"
    # The query of a presigned URL permits the download, so it is left out.
    return f"{data.file_name}  {owner}  {place.partition('?')[0]}"


def _completed_text(data: Completed) -> str:
    people = [
        person.custom_participant_id or person.user_id or "?"
        for person in data.participants_without_file or ()
    ]
    files = counted(data.file_count, "file")
    return f"{files}  none of {listed_people(people)}" if people else files


def _archive_label(data: ArchiveEvent) -> str:
    if isinstance(data, ArchiveFailed):
        return _label("lost" if data.final else "refused", "red")
    return _label("archived", "green")


def _archive_text(data: ArchiveEvent) -> str:
    match data:
        case FileArchived():
            return f"{data.file_name}  {data.size_bytes} bytes  {data.archive_url}"
        case Archived():
            files = counted(data.file_count, "file")
            return f"{files}  {data.total_bytes} bytes  {data.manifest_url}"
        case ArchiveFailed():
            name = data.file_name or "its manifest"
            error = f"{data.error.code}: {data.error.message}"
            return f"{name}  {error}, {counted(data.attempts, 'attempt')}"
    assert_never(data)


def _outcome_text(data: Outcome) -> str:
    match data:
        case CommandSucceeded():
            return "recordings: " + (", ".join(data.recording_ids) or "none")
        case CommandRejected():
            return f"{data.code}: {data.message}"
        case CommandExpired():
            return f"its deadline passed after {counted(data.attempts, 'attempt')}"
        case CommandFailed():
            error = data.last_error
            return f"{error.code}: {error.message}, {counted(data.attempts, 'attempt')}"
    assert_never(data)
