"""The envelope of every event: CloudEvents 1.0 as structured JSON."""

from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from recording_schemas.events import EVENT_TYPES, EventData
from recording_schemas.values import Time

DATASCHEMA: Final[dict[type[EventData], str]] = {
    data: f"urn:recording-worker:schema:{name}" for data, name in EVENT_TYPES.items()
}
"""The CloudEvents `dataschema` of each event: the `$id` of its JSON Schema. It is a name, not an
address."""

EVENT_CONTENT_TYPE: Final = "application/cloudevents+json"
"""The AMQP content type of every event."""


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its envelope.

    `id` is stable: the same fact always has the same id. `subject` is the id of the recording, or
    of the command on outcomes. `sequence` orders the events of one recording, compared as strings.
    Outcomes have no `sequence`.
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
    """The message is no event, or its type is unknown to this version of the package."""


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


_READABLE: Final = frozenset({EVENT_CONTENT_TYPE, "application/json"})


def decode_event(body: bytes, content_type: str | None = None) -> CloudEvent:
    """The event in `body`. Unknown fields are ignored.

    `content_type` is the message's property. If it is given, it must be that of a CloudEvent or of
    JSON. Raises NotAnEvent for everything else, also if this version of the package does not know
    the event's type.
    """
    if content_type and _media_type(content_type) not in _READABLE:
        raise NotAnEvent(f"the content type of an event is {EVENT_CONTENT_TYPE}")
    try:
        envelope = _ENVELOPE.decode(body)
        if (decoder := _DATA.get(envelope.type)) is None:
            raise NotAnEvent("the event's type is unknown to this version of the package")
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


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
