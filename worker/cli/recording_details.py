"""Renders everything about a recording, for `recordings show`."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from worker.cli.outcomes import command_json
from worker.cli.output import Row
from worker.cli.tables import is_wide
from worker.cli.text import cut_middle
from worker.cli.times import iso_time, local_time
from worker.domain.escaping import escape_controls

if TYPE_CHECKING:
    from recording_schemas import ErrorInfo
    from worker.store.admin.past_commands import PastCommand
    from worker.store.admin.recording_details import KeptEvent, KnownFile, RecordingDetails

STATUS_CHANGED: Final = "recording.status_changed.v1"
_NAME_WIDTH: Final = 14
_INDENT: Final = 8
_WAITS: Final = {
    "no_session": "the session of its meeting",
    "start_unknown": "its start",
    "start_pending": "its start",
}
"""What a command waits for, by the code of its last attempt."""


def details_json(details: "RecordingDetails") -> Row:
    """The JSON line of one recording. Download URLs are left out: only events have them."""
    recording = details.recording
    state = msgspec.to_builtins(recording)
    start = state.pop("origin", None)
    return {
        "recording_id": recording.recording_id,
        "app": recording.app,
        "kind": recording.kind,
        "status": recording.status,
        "unknown_status": recording.unknown_status,
        "meeting_id": recording.meeting_id,
        "session_id": recording.session_id,
        "start_id": recording.start_id,
        "metadata": recording.metadata,
        "invoked_time": recording.invoked_time,
        "started_time": recording.started_time,
        "stopped_time": recording.stopped_time,
        "recording_duration": recording.recording_duration,
        "output_file_name": recording.output_file_name,
        "start_reason": recording.start_reason,
        "stop_reason": recording.stop_reason,
        "error": recording.error,
        "completed": recording.completed,
        "first_seen_at": recording.first_seen_at,
        "changed_at": recording.changed_at,
        "stop_at": recording.stop_at,
        "start": {name: value for name, value in start.items() if name != "trace"}
        if start
        else None,
        "start_command": command_json(details.start) if details.start else None,
        "timeline": [_status_json(event) for event in _status_events(details)],
        "participants_without_file": details.people_without_file(),
        "files": [_file_json(file) for file in details.files],
        "events": [_event_json(event) for event in details.events],
    }


def _status_json(event: "KeptEvent") -> Row:
    names = ("status", "previous_status", "observed_by", "observed_at", "error")
    return {name: event.data.get(name) for name in names}


def _file_json(file: "KnownFile") -> Row:
    return {
        **msgspec.structs.asdict(file),
        "found_at": iso_time(file.found_at),
        "url_expires_at": iso_time(file.url_expires_at),
    }


def _event_json(event: "KeptEvent") -> Row:
    return {
        "id": event.event_id,
        "type": event.event_type,
        "sequence": event.sequence,
        "time": event.time,
        "routing_key": event.routing_key,
        "state": event.state,
        "sent_at": iso_time(event.sent_at),
        "tries": event.tries,
        "last_error": event.last_error,
    }


def _status_events(details: "RecordingDetails") -> list["KeptEvent"]:
    return [event for event in details.events if event.event_type == STATUS_CHANGED]


# Text


def print_details(details: "RecordingDetails") -> None:
    """Print the recording for users, in lines that fit into 80 columns if the ids permit."""
    recording = details.recording
    shown = recording.status + (
        f", API: {recording.unknown_status}" if recording.unknown_status else ""
    )
    _title(f"{recording.kind} recording {recording.recording_id}  {shown}")
    _pairs(_facts(details))
    if details.start:
        print_command(details.start)
    _section("Timeline", [_status_line(event) for event in _status_events(details)])
    custom_ids = details.recording.start.custom_ids if details.recording.start else {}
    _section("Files", [line for file in details.files for line in _file_lines(file, custom_ids)])
    _section("Without a file", [_absent(person) for person in details.people_without_file() or ()])
    _section("Events", [line for event in details.events for line in _event_lines(event)])


def print_command(start: "PastCommand") -> None:
    """Print the start command, and how it ended."""
    _title(f"Start command {start.command_id}")
    _pairs(
        [
            ("type", start.command_type),
            ("app", start.app),
            ("first seen", local_time(start.first_seen_at)),
            ("attempts", start.attempts),
            ("outcome", start.outcome or f"none yet ({start.state})"),
            ("ended", local_time(start.finished_at)),
            ("code", start.code),
            ("message", start.message),
            _waits_or_fails(start.last_error),
        ]
    )


def _waits_or_fails(error: "ErrorInfo | None") -> tuple[str, object]:
    """Why the last attempt did not end the command. A wait is not an error."""
    if error is None:
        return "last error", None
    if error.code in _WAITS:
        return "waits for", f"{_WAITS[error.code]} ({error.message})"
    return "last error", f"{error.code}: {error.message}"


def _facts(details: "RecordingDetails") -> list[tuple[str, object]]:
    recording, start = details.recording, details.recording.start
    error = recording.error
    facts: list[tuple[str, object]] = [
        ("app", recording.app),
        ("meeting", recording.meeting_id),
        ("session", recording.session_id),
        ("start", recording.start_id or "by others"),
        ("surplus of", recording.surplus_of),
        ("cancelled by", recording.cancelled_by),
        ("invoked", local_time(recording.invoked_time)),
        ("started", local_time(recording.started_time)),
        ("stopped", local_time(recording.stopped_time)),
        ("seconds", recording.recording_duration),
        ("start reason", recording.start_reason),
        ("stop reason", recording.stop_reason),
        ("error", f"{error.code}: {error.message}" if error else None),
        ("first seen", local_time(recording.first_seen_at)),
        ("changed", local_time(recording.changed_at)),
        ("missing since", local_time(recording.missing_since)),
        ("file name", recording.output_file_name),
        ("completed", "yes" if recording.completed else "no"),
    ]
    if start is not None:
        facts += [
            ("max seconds", start.max_seconds),
            ("stops at", local_time(recording.stop_at)),
            ("file prefix", start.file_name_prefix),
            *(("person", _person(user_id, start.custom_ids)) for user_id in start.user_ids),
            *(("metadata", f"{name}={value}") for name, value in (start.metadata or {}).items()),
        ]
    return facts


def _person(user_id: str, custom_ids: dict[str, str]) -> str:
    custom_id = custom_ids.get(user_id)
    return f"{user_id}, {custom_id}" if custom_id else user_id


def _joined(parts: Sequence[str | None]) -> str | None:
    return ", ".join(part for part in parts if part) or None


def _status_line(event: "KeptEvent") -> str:
    data = event.data
    parts = [
        local_time(data["observed_at"]),
        str(data["status"]).ljust(9),
        f"by {data['observed_by']}",
        _error_text(data.get("error")),
    ]
    return "  ".join(part for part in parts if part)


def _error_text(error: dict[str, Any] | None) -> str | None:
    return f"{error['code']}: {error['message']}" if error else None


def _file_lines(file: "KnownFile", custom_ids: dict[str, str]) -> Iterator[str]:
    name = file.file_name
    if sys.stdout.isatty() and not is_wide():
        name = cut_middle(name, shutil.get_terminal_size().columns - _INDENT)
    yield f"{file.file_index:>4}  {name}"
    expiry = local_time(file.url_expires_at)
    owner = _person(file.user_id, custom_ids) if file.user_id else None
    if more := _joined([owner, f"URL until {expiry}" if expiry else None]):
        yield f"      {more}"


def _absent(person: dict[str, Any]) -> str:
    ids = _joined([person["user_id"], person["custom_participant_id"]])
    return f"{ids}  {'was there' if person['joined'] else 'did not come'}"


def _event_lines(event: "KeptEvent") -> Iterator[str]:
    kind = event.event_type.removeprefix("recording.").removesuffix(".v1")
    number = int(event.sequence)
    yield f"{number:>4}  {kind.ljust(16)}  {event.event_id}  {event.state}"
    if event.last_error and event.state != "sent":
        yield f"      {event.last_error}"


def _title(text: str) -> None:
    click.echo(click.style(escape_controls(text), bold=True))


def _pairs(pairs: Sequence[tuple[str, object]]) -> None:
    for name, value in pairs:
        if value is not None:
            shown = escape_controls(name)[:_NAME_WIDTH].ljust(_NAME_WIDTH)
            click.echo(f"  {shown}  {escape_controls(str(value))}")


def _section(title: str, lines: Sequence[str]) -> None:
    if lines:
        _title(title)
        for line in lines:
            click.echo(f"  {escape_controls(line)}")
