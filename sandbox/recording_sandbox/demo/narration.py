"""Adds API requests and the worker's events to the timeline, in words."""

import math
from typing import Final

from recording_sandbox.demo.timeline import Timeline
from recording_sandbox.model.log_entries import RequestEntry
from recording_sandbox.model.request_log import RequestLog
from recording_schemas import (
    Archived,
    ArchiveFailed,
    CloudEvent,
    Completed,
    FileArchived,
    FileReady,
    FileUrlRenewed,
    StatusChanged,
    outcome_of,
)

REPEATED: Final = frozenset({"list_recordings", "list_sessions"})


async def narrate_requests(
    request_log: RequestLog, timeline: Timeline, *, sweep_interval_seconds: float
) -> None:
    """Narrate each API request until cancelled. Of the lists that are read again and again, only
    the first is."""
    narrated, shown = 0, set[str]()

    def has_new_entries(log: RequestLog) -> bool:
        return log.total > narrated

    while True:
        await request_log.until(has_new_entries, within=math.inf)
        entries, narrated = request_log.entries(since=narrated), request_log.total
        for request in (entry for entry in entries if isinstance(entry, RequestEntry)):
            if request.operation not in REPEATED:
                _narrate_request(request, timeline)
            elif request.operation not in shown:
                suffix = _repetition(request.operation, sweep_interval_seconds)
                _narrate_request(request, timeline, suffix)
                shown.add(request.operation)


def _repetition(operation: str, sweep_interval_seconds: float) -> str:
    is_sweep = operation == "list_recordings"
    return f", repeated every {sweep_interval_seconds:g} s" if is_sweep else ", repeated"


def _narrate_request(request: RequestEntry, timeline: Timeline, suffix: str = "") -> None:
    words = " ".join(filter(None, (request.method, request.operation, request.detail)))
    facts = {"operation": request.operation, "status": request.status}
    timeline.add("request", f"{words} → {request.status}{suffix}", **facts)


def narrate_event(event: CloudEvent, timeline: Timeline) -> None:
    """Narrate one event that the worker published."""
    facts = {"event_id": event.id, "type": event.type, "subject": event.subject}
    match event.data:
        case StatusChanged() as data:
            previous = f" (was {data.previous_status})" if data.previous_status else ""
            text = f"{data.status}{previous}, observed by {data.observed_by}"
            timeline.add("status", text, **facts)
        case FileReady() | FileUrlRenewed() as data:
            owner = data.custom_participant_id or data.user_id or "?"
            text = f"{data.file_index} of {data.file_count}, of {owner}: {data.file_name}"
            timeline.add("file", text, **facts)
        case Completed() as data:
            timeline.add("done", f"{data.status} with {data.file_count} files", **facts)
        case FileArchived() as data:
            timeline.add("archive", f"{data.file_name}, {data.size_bytes} bytes", **facts)
        case Archived() as data:
            timeline.add("archive", f"{data.file_count} files and {data.manifest_url}", **facts)
        case ArchiveFailed() as data:
            timeline.add("archive", f"{data.file_name} failed: {data.error.message}", **facts)
        case data:
            timeline.add("outcome", f"{data.command_type} {outcome_of(data)}", **facts)
