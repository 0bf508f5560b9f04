"""The events that subscribers receive, as the data of a CloudEvent, and their routing.

Every field is always present, null if it has no value. Subscribers should ignore unknown fields. A
change that could break a subscriber gets a new version in the event's type.
"""

from typing import Final, Literal, assert_never

import msgspec

from recording_schemas.values import Count, Kind, Media, Metadata, ObservedBy, Status, Time


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An error: `code` is a slug for programs, `message` is for people.

    The message is the API's own text if there is one. The codes `stalled` and `vanished` mean that
    the worker itself ended the recording; the API may still report another end.
    """

    code: str
    message: str


class StorageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a file in the customer's own storage."""

    type: str
    bucket: str | None
    path: str | None


class StatusChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has a new status. Durations are in seconds, times have an offset.

    `metadata` is that of the start command, here and in every other event. It is null if the start
    had none.

    `previous_status` is null on the first event of a recording. `start_id` is the id of the start
    command, null if another program started the recording. `start_reason` and `stop_reason` are the
    API's values, such as API_CALL or ALL_PEERS_LEFT.
    """

    recording_id: str
    meeting_id: str | None
    session_id: str | None
    kind: Kind
    status: Status
    previous_status: Status | None
    observed_by: ObservedBy
    observed_at: Time
    invoked_time: Time | None
    started_time: Time | None
    stopped_time: Time | None
    recording_duration: Count | None
    output_file_name: str | None
    start_reason: str | None
    stop_reason: str | None
    start_id: str | None
    error: ErrorInfo | None
    metadata: Metadata | None


class ParticipantInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A participant of the session, during one stay.

    `user_id` is RealtimeKit's participant id. Somebody who joins again has another `peer_id`.
    `left_at` is null also while the stay goes on.
    """

    user_id: str | None
    peer_id: str | None
    custom_participant_id: str | None
    display_name: str | None
    preset_name: str | None
    joined_at: Time | None
    left_at: Time | None


class ParticipantWithoutFile(msgspec.Struct, frozen=True, kw_only=True):
    """A person who should have a file and has none.

    `joined`: whether the person was in the session while it was recorded.
    """

    user_id: str | None
    custom_participant_id: str | None
    joined: bool


class FileEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a recording.

    `user_id` is RealtimeKit's participant id. `recorded_at` comes from the file name. `file_index`
    counts from 1 to `file_count`, the files found by then. If the file is in the customer's own
    storage, `storage` says where, and `download_url` is null. `participant` is the owner of a
    track's file, null for composites. A value that is not certain is null.
    """

    recording_id: str
    meeting_id: str | None
    session_id: str | None
    kind: Kind
    layer: str | None
    file_name: str
    user_id: str | None
    peer_id: str | None
    custom_participant_id: str | None
    stream_kind: str | None
    media_kind: Media
    recorded_at: Time | None
    download_url: str | None
    download_url_expiry: Time | None
    file_index: int
    file_count: int
    storage: StorageInfo | None
    start_id: str | None
    participant: ParticipantInfo | None
    metadata: Metadata | None


class FileReady(FileEvent, frozen=True, kw_only=True):
    """A finished file of a recording."""


class FileUrlRenewed(FileEvent, frozen=True, kw_only=True):
    """A file that was announced before has a new URL."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has ended, and a `file_ready` event was published for each of its files, if any.

    If a file turns up later, the event follows again, with the new count. `files` are the names of
    all files. `recording_duration` is in seconds. `participants_without_file` are those of the
    people asked for who have no file; if the start asked for nobody, those of the session's
    participants. It is null for composites.
    """

    recording_id: str
    meeting_id: str | None
    kind: Kind
    status: Status
    file_count: int
    files: tuple[str, ...]
    recording_duration: Count | None
    start_id: str | None
    participants_without_file: tuple[ParticipantWithoutFile, ...] | None
    metadata: Metadata | None


class CommandSucceeded(msgspec.Struct, frozen=True, kw_only=True):
    """The command was executed on these recordings.

    `metadata` is that of a start command, here and in every other outcome. It is null if the start
    had none, and for other commands.
    """

    command_id: str
    command_type: str
    recording_ids: tuple[str, ...]
    metadata: Metadata | None


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True):
    """The command is wrong, or the API refused it for good.

    `code` is a slug such as `invalid_field` or `already_recording`. `field` is a dotted path, such
    as `layers.default.media_kind`. `http_status` is the status of the API's answer. `command_type`
    is "unknown" if the message has no readable type.
    """

    command_id: str
    command_type: str
    code: str
    message: str
    field: str | None
    http_status: int | None
    metadata: Metadata | None


class CommandExpired(msgspec.Struct, frozen=True, kw_only=True):
    """The deadline passed before the command could be executed."""

    command_id: str
    command_type: str
    attempts: Count
    metadata: Metadata | None


class CommandFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The worker gave up, because the API was unreachable or failing for too long."""

    command_id: str
    command_type: str
    attempts: Count
    last_error: ErrorInfo
    metadata: Metadata | None


Outcome = CommandSucceeded | CommandRejected | CommandExpired | CommandFailed
EventData = StatusChanged | FileReady | FileUrlRenewed | Completed | Outcome

Exchange = Literal["status", "files", "results"]
"""One of the three exchanges, by the last part of its name."""

EVENT_TYPES: Final[dict[type[EventData], str]] = {
    StatusChanged: "recording.status_changed.v1",
    FileReady: "recording.file_ready.v1",
    FileUrlRenewed: "recording.file_url_renewed.v1",
    Completed: "recording.completed.v1",
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
        case FileReady():
            return f"{data.kind}.{data.media_kind}.ready"
        case FileUrlRenewed():
            return f"{data.kind}.{data.media_kind}.url_renewed"
        case Completed():
            return f"{data.kind}.completed"
        case CommandSucceeded() | CommandRejected() | CommandExpired() | CommandFailed():
            return f"{data.command_type}.{outcome_of(data)}"
    assert_never(data)


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
    CommandSucceeded: "results",
    CommandRejected: "results",
    CommandExpired: "results",
    CommandFailed: "results",
}


def outcome_of(data: Outcome) -> str:
    """`succeeded`, `rejected`, `expired` or `failed`."""
    return EVENT_TYPES[type(data)].split(".")[1]
