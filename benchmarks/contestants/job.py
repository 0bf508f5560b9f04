"""The job of every contestant: decode a start command, call the API, publish an event.

A start command arrives from a quorum queue; it is decoded and validated, the API is called, a
confirmed persistent event is published, and only then the command is acknowledged.
"""

import os
import uuid
from typing import Annotated, Any, Final, Literal

import msgspec

AMQP_URL: Final = os.environ["BENCH_AMQP_URL"]
QUEUE: Final = os.environ["BENCH_QUEUE"]
EXCHANGE: Final = os.environ["BENCH_EXCHANGE"]
API_URL: Final = os.environ["BENCH_API_URL"]
DATABASE_URL: Final = os.environ.get("BENCH_DATABASE_URL", "")
IN_FLIGHT: Final = int(os.environ["BENCH_IN_FLIGHT"])

ROUTING_KEY: Final = "start_track_recording.succeeded"
CONTENT_TYPE: Final = "application/cloudevents+json"
START_URL: Final = f"{API_URL}/accounts/account/realtime/kit/app/recordings/track"
HEADERS: Final = {
    "Accept": "application/json",
    "Authorization": "Bearer secret",
    "Content-Type": "application/json",
}


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer of a track recording."""

    media_kind: Literal["audio"] = "audio"
    file_name_prefix: Annotated[str, msgspec.Meta(pattern=r"^[-\w\s]+$")] | None = None


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A start command, validated as it is decoded."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    meeting_id: uuid.UUID
    type: Literal["start_track_recording"] = "start_track_recording"
    user_ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)] | None = None
    layers: dict[Literal["default"], Layer] | None = None


_DECODER: Final = msgspec.json.Decoder(Start)


def decode(body: bytes) -> Start:
    """The command in a message's body. Raises msgspec.ValidationError if there is none."""
    return _DECODER.decode(body)


def checked(fields: dict[str, Any]) -> Start:
    """The command in a decoded body. Raises msgspec.ValidationError if there is none."""
    return msgspec.convert(fields, Start)


def fields(command: Start) -> dict[str, object]:
    """The command in the form that a library stores. `checked` reads it again."""
    return dict(msgspec.to_builtins(command))


def request_body(command: Start) -> bytes:
    """The request to the API."""
    body = {"meeting_id": command.meeting_id, "layers": command.layers}
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def recording_id(answer: bytes) -> str:
    """The recording id in the API's answer."""
    decoded = msgspec.json.decode(answer)
    return str(decoded["data"]["recording"]["id"])


def event(command: Start, recording: str) -> bytes:
    """The published event."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": "/bench",
            "type": "command.succeeded.v1",
            "subject": command.id,
            "datacontenttype": "application/json",
            "data": {
                "command_id": command.id,
                "command_type": command.type,
                "recording_ids": [recording],
            },
        }
    )
