"""Turns rows into the JSON of the page. URLs lose their queries, which permit downloads."""

from typing import Any, Final

import msgspec

from recording_schemas import CloudEvent
from worker.cli.outcomes import command_json
from worker.cli.recording_details import details_json
from worker.cli.times import iso_time
from worker.domain.archive import ArchiveFile
from worker.domain.recording import Recording
from worker.observability.tracing import trace_id_of
from worker.store.admin.archive_pages import ArchiveState, ManifestState
from worker.store.admin.command_pages import CommandsSummary, ParkedCommand
from worker.store.admin.past_commands import PastCommand
from worker.store.admin.recording_details import KeptEvent, RecordingDetails

Json = dict[str, Any]

_ROW_FIELDS: Final = (
    "recording_id",
    "app",
    "kind",
    "status",
    "unknown_status",
    "meeting_id",
    "start_id",
    "invoked_time",
    "started_time",
    "stopped_time",
    "recording_duration",
    "error",
    "completed",
    "file_count",
    "first_seen_at",
    "changed_at",
    "stop_at",
    "metadata",
)


def recording_row(recording: Recording) -> Json:
    """One line of a table of recordings."""
    return {name: getattr(recording, name) for name in _ROW_FIELDS}


def command_row(command: PastCommand) -> Json:
    """One line of a table of commands. `state` is `running`, `waiting` or `done`."""
    return {**command_json(command), "state": command.state, "message": _message(command)}


def _message(command: PastCommand) -> str | None:
    if command.data is None and command.last_error is not None:
        return command.last_error.message
    return command.message


def summary_json(summary: CommandsSummary) -> Json:
    """How the newest commands ended."""
    return {
        "since": iso_time(summary.since),
        "slot_seconds": summary.slot_seconds,
        "slots": summary.slots,
        "types": summary.types,
        "errors": [
            {
                "code": group.code,
                "outcome": group.outcome,
                "commands": group.commands,
                "types": group.types,
                "example": command_row(group.example),
            }
            for group in summary.errors
        ],
        "looked_back_to": iso_time(summary.looked_back_to),
    }


def parked_json(parked: ParkedCommand | None) -> Json | None:
    """What a parked command waits for."""
    if parked is None:
        return None
    times = {"parked_at": iso_time(parked.parked_at), "due_at": iso_time(parked.due_at)}
    return {**msgspec.structs.asdict(parked), **times}


def details_view(details: RecordingDetails) -> Json:
    """Everything about one recording, with the data of each event."""
    view = details_json(details)
    start = details.recording.start
    return {
        **view,
        "row": recording_row(details.recording),
        "start_command": command_row(details.start) if details.start else None,
        "trace_id": trace_id_of(start.trace) if start else None,
        "people": people_of(details.events),
        "events": [
            {**row, "data": without_queries(event.data)}
            for row, event in zip(view["events"], details.events, strict=True)
        ],
        "has_more_events": details.has_more_events,
        "surplus_of": details.recording.surplus_of,
        "cancelled_by": details.recording.cancelled_by,
        "missing_since": details.recording.missing_since,
        "files_awaited_since": details.recording.files_awaited_since,
    }


def people_of(events: tuple[KeptEvent, ...]) -> list[Json]:
    """The people whose files were announced, with their stays in the order of their files."""
    people: dict[str, Json] = {}
    for event in events:
        person = event.data.get("participant")
        if event.event_type != "recording.file_ready.v1" or not person:
            continue
        known = people.setdefault(
            person["user_id"] or person["peer_id"] or event.event_id,
            {
                "user_id": person["user_id"],
                "custom_participant_id": person["custom_participant_id"],
                "display_name": person["display_name"],
                "preset_name": person["preset_name"],
                "stays": [],
            },
        )
        stay = {name: person[name] for name in ("peer_id", "joined_at", "left_at")}
        known["stays"].append({**stay, "file_name": event.data["file_name"]})
    return list(people.values())


def without_queries(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value in which no URL has a query."""
    match value:
        case dict():
            return {name: without_queries(inner) for name, inner in value.items()}
        case list() | tuple():
            return [without_queries(inner) for inner in value]
        case str() if value.startswith(("https://", "http://")):
            return value.partition("?")[0]
    return value


def archive_file_json(file: ArchiveFile) -> Json:
    """A file in the archive, or in its queue."""
    return {
        "recording_id": file.recording_id,
        "file_index": file.file_index,
        "file_name": file.file.file_name,
        "app": file.app,
        "state": file.state,
        "queued_at": iso_time(file.queued_at),
        "due_at": iso_time(file.due_at),
        "expires_at": iso_time(file.expires_at),
        "attempts": file.attempts,
        "last_error": file.last_error,
        "archived": file.archived,
        "archived_at": iso_time(file.archived_at),
    }


def archive_json(state: ArchiveState) -> Json:
    """What waits to be archived, what was given up, and what was archived last."""
    depth = msgspec.structs.asdict(state.depth)
    times = {name: iso_time(depth[name]) for name in ("oldest_at", "first_expiry")}
    return {
        **depth,
        **times,
        "manifests_due": state.manifests_due,
        "queued_files": [archive_file_json(file) for file in state.queued],
        "failed_files": [archive_file_json(file) for file in state.failed],
        "copied_files": [archive_file_json(file) for file in state.copied],
    }


def recording_archive_json(
    files: tuple[ArchiveFile, ...], manifest: ManifestState | None
) -> Json | None:
    """The archive of one recording. None if the archive does not have it."""
    if not files and manifest is None:
        return None
    return {
        "files": [archive_file_json(file) for file in files],
        "manifest_url": manifest.url if manifest else None,
        "manifest_at": iso_time(manifest.written_at) if manifest else None,
        "manifest_due_at": iso_time(manifest.due_at) if manifest else None,
        "manifest_error": manifest.last_error if manifest and manifest.due_at else None,
    }


def feed_entry(event: CloudEvent) -> Json:
    """One line of the live feed."""
    data = without_queries(msgspec.to_builtins(event.data))
    names = (
        "recording_id", "meeting_id", "kind", "status", "previous_status", "observed_by",
        "file_name", "file_index", "file_count", "command_id", "command_type", "code", "message",
        "error", "last_error", "final", "recording_ids",
    )  # fmt: skip
    return {
        "id": event.id,
        "type": event.type,
        "time": event.time,
        **{name: data[name] for name in names if data.get(name) is not None},
    }
