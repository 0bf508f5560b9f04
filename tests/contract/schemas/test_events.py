"""The contract of events: fields, routing keys, envelope."""

import json
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from jsonschema import Draft202012Validator

from recording_schemas import (
    DATASCHEMA,
    EVENT_TYPES,
    Archived,
    ArchiveFailed,
    CloudEvent,
    CommandRejected,
    CommandSucceeded,
    Completed,
    EventData,
    FileArchived,
    FileReady,
    NotAnEvent,
    Outcome,
    Status,
    StatusChanged,
    decode_event,
    encode_event,
    examples,
    exchange_of,
    routing_key,
)
from recording_schemas.export import HOME
from tests.contract.schemas.message_schemas import SCHEMAS

RECORDING = "recording_id meeting_id session_id kind"
FILE = (
    f"{RECORDING} layer file_name user_id peer_id custom_participant_id stream_kind media_kind"
    " recorded_at download_url download_url_expiry file_index file_count storage start_id"
    " participant metadata"
)
FIELDS = {
    "recording.status_changed.v1": f"{RECORDING} status previous_status observed_by observed_at"
    " invoked_time started_time stopped_time recording_duration output_file_name start_reason"
    " stop_reason start_id error metadata",
    "recording.file_ready.v1": FILE,
    "recording.file_url_renewed.v1": FILE,
    "recording.completed.v1": "recording_id meeting_id kind status file_count files"
    " recording_duration start_id participants_without_file metadata",
    "recording.file_archived.v1": f"{RECORDING} file_name media_kind user_id peer_id"
    " custom_participant_id participant archive_url size_bytes sha256 content_type"
    " duration_seconds archived_at start_id metadata",
    "recording.archived.v1": "recording_id meeting_id kind file_count total_bytes manifest_url"
    " start_id metadata",
    "recording.archive_failed.v1": "recording_id meeting_id kind file_name attempts final error"
    " start_id metadata",
    "command.succeeded.v1": "command_id command_type recording_ids metadata",
    "command.rejected.v1": "command_id command_type code message field http_status metadata",
    "command.expired.v1": "command_id command_type attempts metadata",
    "command.failed.v1": "command_id command_type attempts last_error metadata",
}
EXAMPLES = {type(data): data for data in examples.EVENTS}
ATTRIBUTES = {
    "id": "e-1",
    "source": "/recording-worker",
    "subject": "s-1",
    "time": "2026-01-01T10:30:40Z",
}
BY_TYPE = pytest.mark.parametrize("data", examples.EVENTS, ids=lambda data: EVENT_TYPES[type(data)])


def _encoded(data: EventData, sequence: str | None = "0001") -> bytes:
    return encode_event(
        data,
        id="e-1",
        source="/recording-worker",
        subject="s-1",
        time=datetime(2026, 1, 1, 10, 30, 40, tzinfo=UTC),
        sequence=sequence,
    )


def test_every_event_has_a_type_a_schema_and_an_example() -> None:
    known = set(get_args(EventData))

    assert set(EVENT_TYPES) == set(DATASCHEMA) == set(EXAMPLES) == known


@BY_TYPE
def test_every_field_is_always_present_and_null_if_it_has_no_value(data: EventData) -> None:
    optional = {
        name for name, kind in get_type_hints(type(data)).items() if type(None) in get_args(kind)
    }
    emptied = msgspec.structs.replace(data, **dict.fromkeys(optional))

    fields = json.loads(_encoded(emptied))["data"]

    assert [*fields] == FIELDS[EVENT_TYPES[type(data)]].split()
    assert {name for name, value in fields.items() if value is None} == optional
    Draft202012Validator(_closed(data)).validate(fields)


def _closed(data: EventData) -> dict[str, Any]:
    """The schema of the data alone. It permits no further fields."""
    document = SCHEMAS[EVENT_TYPES[type(data)]]
    own = document["$defs"][type(data).__name__]
    return {**own, "additionalProperties": False, "$defs": document["$defs"]}


@BY_TYPE
def test_the_envelope_has_the_attributes_of_cloudevents(data: EventData) -> None:
    name = EVENT_TYPES[type(data)]

    event = json.loads(_encoded(data))

    assert event.pop("data") == json.loads(msgspec.json.encode(data))
    assert event == ATTRIBUTES | {
        "specversion": "1.0",
        "type": name,
        "datacontenttype": "application/json",
        "dataschema": f"urn:recording-worker:schema:{name}",
        "sequence": "0001",
    }


def test_an_event_without_sequence_does_not_have_the_attribute() -> None:
    assert "sequence" not in json.loads(_encoded(EXAMPLES[CommandSucceeded], sequence=None))


@BY_TYPE
def test_an_event_survives_a_round_trip(data: EventData) -> None:
    event = decode_event(_encoded(data))

    assert event.data == data
    assert isinstance(event, CloudEvent)
    assert (event.id, event.subject, event.sequence) == ("e-1", "s-1", "0001")
    assert msgspec.json.encode(event) == _encoded(data)


@BY_TYPE
def test_the_example_of_an_event_is_valid_and_can_be_read(data: EventData) -> None:
    name = EVENT_TYPES[type(data)]
    written = (HOME / "examples" / f"{name}.json").read_bytes()

    assert decode_event(written).data == data
    Draft202012Validator(SCHEMAS[name]).validate(json.loads(written))


@BY_TYPE
def test_the_schema_of_an_event_refuses_a_missing_or_wrong_field(data: EventData) -> None:
    name = EVENT_TYPES[type(data)]
    schema = Draft202012Validator(SCHEMAS[name])
    example = examples.documents()[name]

    for field in example["data"]:
        without = {key: value for key, value in example["data"].items() if key != field}
        assert not schema.is_valid(example | {"data": without}), field
        wrong = example["data"] | {field: {"wrong": {}}}
        assert not schema.is_valid(example | {"data": wrong}), field
    for attribute in example:
        assert not schema.is_valid(
            {key: value for key, value in example.items() if key != attribute}
        ), attribute


@pytest.mark.parametrize("data", [data for data in examples.EVENTS if isinstance(data, Outcome)])
def test_the_schema_of_an_outcome_names_no_sequence(data: EventData) -> None:
    schema = SCHEMAS[EVENT_TYPES[type(data)]]

    assert "sequence" not in {*schema["properties"], *schema["required"]}


def test_a_subscriber_ignores_unknown_fields() -> None:
    event = json.loads(_encoded(EXAMPLES[Completed]))
    event["later"] = event["data"]["later"] = {"x": 1}

    assert decode_event(json.dumps(event).encode()).data == EXAMPLES[Completed]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "recording.completed.v2"},
        {"specversion": "0.3"},
        {"data": None},
        {"data": {}},
        {"time": "10:30"},
        {"id": 7},
        {"subject": None},
    ],
)
def test_an_unknown_event_raises_not_an_event(change: dict[str, Any]) -> None:
    event = json.loads(_encoded(EXAMPLES[Completed])) | change

    with pytest.raises(NotAnEvent):
        decode_event(json.dumps(event).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"id":' + b"[" * 100_000])
def test_bytes_that_are_no_event_raise_not_an_event(body: bytes) -> None:
    with pytest.raises(NotAnEvent):
        decode_event(body)


def _changed(status: Status, **fields: Any) -> EventData:
    return msgspec.structs.replace(EXAMPLES[StatusChanged], status=status, **fields)


@pytest.mark.parametrize(
    ("data", "exchange", "key"),
    [
        *((_changed(status), "status", f"track.{status.value.lower()}") for status in Status),
        (_changed(Status.ERRORED, kind="composite"), "status", "composite.errored"),
        (EXAMPLES[FileReady], "files", "track.audio.ready"),
        (
            msgspec.structs.replace(EXAMPLES[FileReady], kind="composite", media_kind="video"),
            "files",
            "composite.video.ready",
        ),
        (EXAMPLES[Completed], "files", "track.completed"),
        (EXAMPLES[FileArchived], "files", "track.audio.archived"),
        (
            msgspec.structs.replace(EXAMPLES[FileArchived], kind="composite", media_kind="video"),
            "files",
            "composite.video.archived",
        ),
        (EXAMPLES[Archived], "files", "track.archived"),
        (
            msgspec.structs.replace(EXAMPLES[ArchiveFailed], kind="composite"),
            "files",
            "composite.archive_failed",
        ),
        (EXAMPLES[CommandSucceeded], "results", "start_track_recording.succeeded"),
        (
            msgspec.structs.replace(EXAMPLES[CommandRejected], command_type="unknown"),
            "results",
            "unknown.rejected",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_has_its_exchange_and_routing_key(
    data: EventData, exchange: str, key: str
) -> None:
    assert (exchange_of(data), routing_key(data)) == (exchange, key)


@pytest.mark.parametrize("outcome", ["succeeded", "rejected", "expired", "failed"])
def test_the_routing_key_of_an_outcome_has_the_command_s_type(outcome: str) -> None:
    (data,) = (
        example
        for example in examples.EVENTS
        if EVENT_TYPES[type(example)] == f"command.{outcome}.v1"
    )

    assert routing_key(data) == f"start_track_recording.{outcome}"


@BY_TYPE
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=UTF-8",
        "application/json",
    ],
)
def test_an_event_is_read_with_the_content_type_of_an_event_or_of_json(
    data: EventData, content_type: str | None
) -> None:
    assert decode_event(_encoded(data), content_type).data == data


@pytest.mark.parametrize("content_type", ["text/plain", "application/cloudevents", "application/x"])
def test_a_message_of_another_content_type_is_no_event(content_type: str) -> None:
    with pytest.raises(NotAnEvent, match=r"application/cloudevents\+json"):
        decode_event(_encoded(examples.EVENTS[0]), content_type)
