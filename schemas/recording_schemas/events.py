"""What subscribers receive: CloudEvents 1.0 whose data is one of the structs here.

Every member is always present, null where there is no value. Subscribers should ignore members
they do not know; a change that could break them gets a new version in the event's type.
"""

from datetime import datetime
from typing import Final, Literal, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from recording_schemas.values import Count, Kind, Media, ObservedBy, Status, Time


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a slug for machines, and words for people (the API's own where it has some).

    `stalled` and `vanished` are the worker's own conclusions, which the truth may still follow.
    """

    code: str
    message: str


class StorageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file lies in the customer's own storage."""

    type: str
    bucket: str | None
    path: str | None


class StatusChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has a new status. Durations in seconds, times aware.

    `previous_status` is null for the first one; `start_id` is the id of the start command, null
    for an adopted recording. `start_reason` and `stop_reason` are the API's words, such as
    API_CALL or ALL_PEERS_LEFT.
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


class FileReady(msgspec.Struct, frozen=True, kw_only=True):
    """A finished file of a recording.

    `user_id` is RealtimeKit's participant id. `recorded_at` is read from the file name.
    `file_index` counts from 1 to `file_count`. Where `storage` says that the file lies in the
    customer's own storage, `download_url` is null. Whatever cannot be told for sure is null.
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


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A recording has ended and all its files, perhaps none, have been announced.

    `files` are their names. `recording_duration` is in seconds.
    """

    recording_id: str
    meeting_id: str | None
    kind: Kind
    status: Status
    file_count: int
    files: tuple[str, ...]
    recording_duration: Count | None
    start_id: str | None


class CommandSucceeded(msgspec.Struct, frozen=True, kw_only=True):
    """The command was carried out, on these recordings."""

    command_id: str
    command_type: str
    recording_ids: tuple[str, ...]


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True):
    """The command is wrong, or the API refused it for good.

    `code` is a slug such as `invalid_member` or `already_recording`; `field` is a dotted path
    such as `layers.default.media_kind`; `http_status` is the API's. `command_type` is "unknown"
    where it could not be made out.
    """

    command_id: str
    command_type: str
    code: str
    message: str
    field: str | None
    http_status: int | None


class CommandExpired(msgspec.Struct, frozen=True, kw_only=True):
    """The deadline of the command passed before it could be carried out."""

    command_id: str
    command_type: str
    attempts: Count


class CommandFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The worker gave up: the API or the way to it was not available for too long."""

    command_id: str
    command_type: str
    attempts: Count
    last_error: ErrorInfo


Outcome = CommandSucceeded | CommandRejected | CommandExpired | CommandFailed
EventData = StatusChanged | FileReady | Completed | Outcome

Exchange = Literal["status", "files", "results"]
"""Which of the three exchanges, by the last part of its name."""

EVENT_TYPES: Final[dict[type[EventData], str]] = {
    StatusChanged: "recording.status_changed.v1",
    FileReady: "recording.file_ready.v1",
    Completed: "recording.completed.v1",
    CommandSucceeded: "command.succeeded.v1",
    CommandRejected: "command.rejected.v1",
    CommandExpired: "command.expired.v1",
    CommandFailed: "command.failed.v1",
}
"""The CloudEvents `type` of each event."""

DATASCHEMA: Final[dict[type[EventData], str]] = {
    data: f"urn:recording-worker:schema:{name}" for data, name in EVENT_TYPES.items()
}
"""The CloudEvents `dataschema` of each event: the `$id` of its JSON Schema. It names, and is
nowhere to be fetched from."""

EVENT_CONTENT_TYPE: Final = "application/cloudevents+json"
"""The AMQP content type of every event."""


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its envelope.

    `id` is stable: the same fact always has the same one. `subject` is the recording's id, on
    outcomes the command's. `sequence` orders the events of one recording, compared as strings;
    outcomes have none.
    """

    id: str
    source: str
    specversion: Literal["1.0"] = "1.0"
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str
    sequence: str | UnsetType = UNSET
    data: EventData


class NotAnEvent(ValueError):
    """The message is no event that this version of the package knows."""


def routing_key(data: EventData) -> str:
    """Where the event goes on its exchange, such as `track.uploaded` or `track.audio.ready`."""
    match data:
        case StatusChanged():
            return f"{data.kind}.{data.status.lower()}"
        case FileReady():
            return f"{data.kind}.{data.media_kind}.ready"
        case Completed():
            return f"{data.kind}.completed"
        case CommandSucceeded() | CommandRejected() | CommandExpired() | CommandFailed():
            return f"{data.command_type}.{outcome_of(data)}"
    assert_never(data)


def exchange_of(data: EventData) -> Exchange:
    """Which of the three exchanges the event goes to."""
    return exchange_of_type(type(data))


def exchange_of_type(data: type[EventData]) -> Exchange:
    """Which of the three exchanges events of this type go to."""
    if data is StatusChanged:
        return "status"
    return "files" if data in {FileReady, Completed} else "results"


def outcome_of(data: Outcome) -> str:
    """`succeeded`, `rejected`, `expired` or `failed`."""
    return EVENT_TYPES[type(data)].split(".")[1]


def encode_event(
    data: EventData,
    *,
    id: str,  # noqa: A002 - the attribute's own name
    source: str,
    subject: str,
    time: datetime,
    sequence: str | None,
) -> bytes:
    """The whole CloudEvent as JSON. `time` must be aware; `sequence` is None on outcomes."""
    return msgspec.json.encode(
        CloudEvent(
            id=id,
            source=source,
            type=EVENT_TYPES[type(data)],
            subject=subject,
            time=time,
            dataschema=DATASCHEMA[type(data)],
            sequence=UNSET if sequence is None else sequence,
            data=data,
        )
    )


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    source: str
    specversion: Literal["1.0"]
    type: str
    subject: str
    time: Time
    dataschema: str
    sequence: str | UnsetType = UNSET
    data: msgspec.Raw


_DATA: Final = {name: msgspec.json.Decoder(data, strict=True) for data, name in EVENT_TYPES.items()}
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)


def decode_event(body: bytes) -> CloudEvent:
    """The event in `body`. Unknown members are ignored.

    Raises NotAnEvent for everything else, also for an event of a type or version that this
    package does not know.
    """
    try:
        envelope = _ENVELOPE.decode(body)
        if (decoder := _DATA.get(envelope.type)) is None:
            raise NotAnEvent("the event's type is not known to this version of the package")
        data = decoder.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnEvent(f"not an event of this worker: {error}") from error
    return CloudEvent(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        subject=envelope.subject,
        time=envelope.time,
        dataschema=envelope.dataschema,
        sequence=envelope.sequence,
        data=data,
    )
