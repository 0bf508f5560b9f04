"""The events that subscribers receive, as the data of a CloudEvent, and their routing.

Every field is always present, null if it has no value. Subscribers should ignore unknown fields. A
change that could break a subscriber gets a new version in the event's type.
"""

from typing import Final, Literal, assert_never

from recording_schemas.archive_events import Archived, ArchiveFailed, FileArchived
from recording_schemas.outcome_events import (
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
)
from recording_schemas.recording_events import Completed, FileReady, FileUrlRenewed, StatusChanged

Outcome = CommandSucceeded | CommandRejected | CommandExpired | CommandFailed
ArchiveEvent = FileArchived | Archived | ArchiveFailed
EventData = StatusChanged | FileReady | FileUrlRenewed | Completed | ArchiveEvent | Outcome

Exchange = Literal["status", "files", "results"]
"""One of the three exchanges, by the last part of its name."""

EVENT_TYPES: Final[dict[type[EventData], str]] = {
    StatusChanged: "recording.status_changed.v1",
    FileReady: "recording.file_ready.v1",
    FileUrlRenewed: "recording.file_url_renewed.v1",
    Completed: "recording.completed.v1",
    FileArchived: "recording.file_archived.v1",
    Archived: "recording.archived.v1",
    ArchiveFailed: "recording.archive_failed.v1",
    CommandSucceeded: "command.succeeded.v1",
    CommandRejected: "command.rejected.v1",
    CommandExpired: "command.expired.v1",
    CommandFailed: "command.failed.v1",
}
"""The CloudEvents `type` of each event."""


def routing_key(data: EventData) -> str:
    """The event's routing key on its exchange, such as `track.uploaded` or `track.audio.ready`."""
    match data:
        case StatusChanged():
            return f"{data.kind}.{data.status.lower()}"
        case FileReady() | FileUrlRenewed() | FileArchived():
            return f"{data.kind}.{data.media_kind}.{_LAST_WORDS[type(data)]}"
        case Completed() | Archived() | ArchiveFailed():
            return f"{data.kind}.{_LAST_WORDS[type(data)]}"
        case CommandSucceeded() | CommandRejected() | CommandExpired() | CommandFailed():
            return f"{data.command_type}.{outcome_of(data)}"
    assert_never(data)


_LAST_WORDS: Final[dict[type[EventData], str]] = {
    FileReady: "ready",
    FileUrlRenewed: "url_renewed",
    FileArchived: "archived",
    Completed: "completed",
    Archived: "archived",
    ArchiveFailed: "archive_failed",
}
"""The last word of the routing key."""


def exchange_of(data: EventData) -> Exchange:
    """The exchange that the event is published to."""
    return exchange_of_type(type(data))


def exchange_of_type(data: type[EventData]) -> Exchange:
    """The exchange that events of this type are published to."""
    return _EXCHANGES[data]


_EXCHANGES: Final[dict[type[EventData], Exchange]] = {
    StatusChanged: "status",
    FileReady: "files",
    FileUrlRenewed: "files",
    Completed: "files",
    FileArchived: "files",
    Archived: "files",
    ArchiveFailed: "files",
    CommandSucceeded: "results",
    CommandRejected: "results",
    CommandExpired: "results",
    CommandFailed: "results",
}


def outcome_of(data: Outcome) -> str:
    """`succeeded`, `rejected`, `expired` or `failed`."""
    return EVENT_TYPES[type(data)].split(".")[1]
