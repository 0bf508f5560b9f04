"""Any bytes decode to a command or to a reason, and a reason never contains a secret."""

import base64
import json
import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import Pretty

from recording_schemas import (
    COMMAND_TYPES,
    Command,
    Malformed,
    RtmpOutConfig,
    StartRecording,
    StartTrackRecording,
    StopRecording,
    StorageConfig,
    decode_command,
    encode_command,
    examples,
    secrets_of,
)

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
START = {"type": "start_track_recording", "id": "body-id", "meeting_id": MEETING}
NAMELESS = {name: value for name, value in START.items() if name != "id"}
EVENT = {"specversion": "1.0", "id": "event-id", "source": "/shop", "type": "com.example.start"}
CLOUDEVENTS = "application/cloudevents+json"
CANARY = "hunter2-canary"


def _refusal(body: bytes | Any, **properties: Any) -> Malformed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Malformed) as refused:
        decode_command(raw, **properties)
    return refused.value


def _decoded(body: Any, **properties: Any) -> Command:
    return decode_command(json.dumps(body).encode(), **properties)


@pytest.mark.parametrize(
    "content_type",
    [
        *(None, "", "application/json", "Application/JSON", "application/json; charset=utf-8"),
        *('application/json;charset="UTF-8"', "application/json; charset=us-ascii"),
    ],
)
def test_json_is_accepted_under_every_spelling_of_its_content_type(
    content_type: str | None,
) -> None:
    assert _decoded(START, content_type=content_type).id == "body-id"


@pytest.mark.parametrize(
    "content_type",
    [
        *("text/plain", "application/xml", "application/cloudevents-batch+json", "json", ";"),
        *("application/json; charset=latin-1", "application/cloudevents+json; charset=utf-16"),
    ],
)
def test_another_content_type_is_refused_with_the_command_s_id(content_type: str) -> None:
    refusal = _refusal(START, content_type=content_type)

    assert (refusal.code, refusal.field) == ("wrong_content_type", None)
    assert (refusal.command_id, refusal.command_type) == ("body-id", "start_track_recording")


@pytest.mark.parametrize("content_type", [None, "application/json", CLOUDEVENTS])
def test_the_data_of_a_cloudevent_is_the_command(content_type: str | None) -> None:
    command = _decoded(EVENT | {"data": START, "traceparent": "x"}, content_type=content_type)

    assert command == StartTrackRecording(id="body-id", meeting_id=MEETING)


def test_the_command_may_be_the_base64_data_of_a_cloudevent() -> None:
    event = EVENT | {"data_base64": base64.b64encode(json.dumps(NAMELESS).encode()).decode()}

    assert _decoded(event) == StartTrackRecording(id="event-id", meeting_id=MEETING)


@pytest.mark.parametrize("data", ["bm8=", "W10=", "no base64!", "e30", 5, None])
def test_other_base64_data_of_a_cloudevent_is_refused(data: object) -> None:
    refusal = _refusal(EVENT | {"data_base64": data}, message_id="m")

    assert (refusal.code, refusal.field) == ("invalid_field", "data_base64")
    assert refusal.command_id == "event-id"


def test_a_fault_in_the_base64_data_of_a_cloudevent_has_the_command_s_id_and_type() -> None:
    data = base64.b64encode(json.dumps(START | {"meeting": 1}).encode()).decode()

    refusal = _refusal(EVENT | {"data_base64": data})

    assert (refusal.code, refusal.field) == ("unknown_field", "meeting")
    assert (refusal.command_id, refusal.command_type) == ("body-id", "start_track_recording")


def test_a_cloudevent_may_have_the_type_of_its_command() -> None:
    event = EVENT | {"type": "start_track_recording", "data": START}

    assert _decoded(event).id == "body-id"


@pytest.mark.parametrize("content_type", [None, CLOUDEVENTS])
def test_the_id_in_the_body_outranks_the_event_s_and_the_message_s(
    content_type: str | None,
) -> None:
    named, nameless = EVENT | {"data": START}, EVENT | {"data": NAMELESS}

    assert _decoded(named, content_type=content_type, message_id="m").id == "body-id"
    assert _decoded(nameless, content_type=content_type, message_id="m").id == "event-id"
    assert _decoded(NAMELESS, message_id="m").id == "m"


@pytest.mark.parametrize("message_id", [None, ""])
def test_a_command_without_any_id_is_refused(message_id: str | None) -> None:
    refusal = _refusal(NAMELESS, message_id=message_id)

    assert (refusal.code, refusal.field, refusal.command_id) == ("missing_id", "id", None)


@pytest.mark.parametrize("message_id", ["m" * 129, "m\x00", "m\n", "\ud800"])
def test_a_message_id_has_the_bounds_of_an_id(message_id: str) -> None:
    refusal = _refusal(NAMELESS, message_id=message_id)

    assert (refusal.code, refusal.command_id) == ("invalid_field", None)
    assert "message_id" in refusal.message


def test_a_refusal_takes_the_next_id_if_one_is_wrong() -> None:
    wrong = START | {"id": "x" * 129}

    assert _refusal(wrong).command_id is None
    assert _refusal(wrong, message_id="m").command_id == "m"
    assert _refusal(EVENT | {"data": wrong}, message_id="m").command_id == "event-id"
    assert _refusal(EVENT | {"id": 7, "data": wrong}, message_id="m").command_id == "m"


@pytest.mark.parametrize("attribute", ["specversion", "id", "source", "type", "data"])
def test_a_cloudevent_without_a_required_attribute_is_refused(attribute: str) -> None:
    event = EVENT | {"data": START}
    del event[attribute]

    refusal = _refusal(event, content_type=CLOUDEVENTS)

    assert (refusal.code, refusal.field) == ("missing_field", attribute)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"data": [START]}, "data"),
        ({"data": json.dumps(START)}, "data"),
        ({"data": None}, "data"),
        ({"id": "e" * 129, "data": NAMELESS}, "id"),
    ],
)
def test_a_wrong_cloudevent_is_refused(change: dict[str, Any], field: str) -> None:
    refusal = _refusal(EVENT | {"data": START} | change)

    assert (refusal.code, refusal.field) == ("invalid_field", field)


def test_a_fault_in_the_data_of_a_cloudevent_is_named_as_in_a_plain_command() -> None:
    refusal = _refusal(EVENT | {"data": START | {"user_ids": ["a", ""]}})

    assert (refusal.field, refusal.command_id) == ("user_ids[1]", "body-id")
    assert refusal.command_type == "start_track_recording"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"start", "not_json"),
        (b"{", "not_json"),
        (b'{"type":"stop_recording",}', "not_json"),
        (json.dumps(START).encode() + b"}", "not_json"),
        (b"\xef\xbb\xbf\xef\xbb\xbf" + json.dumps(START).encode(), "not_json"),
        (json.dumps(START).encode("utf-16"), "not_utf8"),
        (b'{"type":"\xff"}', "not_utf8"),
        (b'{"type":"stop_recording","id":"a","start_id":"\\ud800x"}', "not_json"),
        (b'{"type":"stop_recording","id":"a","start_id":NaN}', "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"start"', "not_an_object"),
        (b"7", "not_an_object"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"a":' + b"[" * 100_000, "too_deep"),
        (b"{}", "missing_type"),
        (b'{"type":"start"}', "unknown_type"),
        (b'{"type":null}', "unknown_type"),
        (b'{"type":["stop_recording"]}', "unknown_type"),
    ],
)
def test_a_message_that_is_no_command_is_refused_under_its_id_or_its_message_id(
    body: bytes, code: str
) -> None:
    refusal = _refusal(body, message_id="m")

    assert refusal.code == code
    assert refusal.command_type in {"unknown", "stop_recording", START["type"]}
    assert refusal.command_id in {"m", "a", START["id"]}


@pytest.mark.parametrize("number", ["9" * 5_000, "1e999", "-1", "18446744073709551616"])
def test_a_wrong_number_of_any_size_is_refused_with_its_field(number: str) -> None:
    body = f'{{"type":"start_recording","id":"a","meeting_id":"{MEETING}","max_seconds":{number}}}'

    refusal = _refusal(body.encode())

    assert (refusal.code, refusal.field, refusal.command_id) == (
        "invalid_field",
        "max_seconds",
        "a",
    )


def test_the_name_of_an_unknown_field_is_shown_short_and_printable() -> None:
    refusal = _refusal(START | {"\x1b[31m" + "x" * 500: 1})

    assert refusal.field == "?[31m" + "x" * 95
    assert refusal.message.isprintable()


def test_the_error_about_a_misspelt_field_suggests_the_right_one() -> None:
    assert "did you mean `user_ids`?" in _refusal(START | {"user_id": ["a"]}).message


STORAGE = {"type": "sftp", "auth_method": "KEY", "private_key": "k", "password": "p"}
WHOLE = {
    "type": "start_recording",
    "id": "c",
    "meeting_id": MEETING,
    "rtmp_out_config": {"rtmp_url": "rtmp://live.example.com/key"},
    "storage_config": STORAGE,
    "video_config": {"codec": "VP9", "watermark": {"size": {"height": 1}}},
    "audio_config": {"codec": "AAC"},
}


def _places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    return [path, *(place for key, item in value.items() for place in _places(item, (*path, key)))]


def _with(document: Any, place: tuple[str, ...], value: Any) -> Any:
    if not place:
        return value
    name, *rest = place
    return document | {name: _with(document[name], tuple(rest), value)}


@pytest.mark.parametrize("place", _places(WHOLE), ids=".".join)
@pytest.mark.parametrize("wrap", [str, lambda text: [text], lambda text: {"type": text}])
def test_no_refusal_repeats_a_received_value(place: tuple[str, ...], wrap: Any) -> None:
    too_long_for_any_rule = CANARY + "\u0000" * 20_000

    refusal = _refusal(_with(WHOLE, place, wrap(too_long_for_any_rule)))

    shown = "".join(traceback.format_exception(refusal)) + repr(refusal) + repr(vars(refusal))
    assert CANARY not in shown
    assert (refusal.__context__, refusal.__cause__) == (None, None)


SECRETIVE = StartRecording(
    id="c",
    meeting_id=MEETING,
    rtmp_out_config=RtmpOutConfig(rtmp_url="rtmp://live.example.com/stream-key"),
    storage_config=StorageConfig(
        type="sftp",
        access_key="access-secret",
        secret="secret-secret",  # noqa: S106 - the point of the test
        password="password-secret",  # noqa: S106
        private_key="private\nsecret",
        host="files.example.com",
    ),
)
SECRETS = (
    *("access-secret", "secret-secret", "password-secret", "private\nsecret"),
    "rtmp://live.example.com/stream-key",
)


@pytest.mark.parametrize("shown_by", [repr, str, lambda command: render(command)])
def test_a_command_shows_no_secret(shown_by: Any) -> None:
    shown = shown_by(SECRETIVE).replace("\n", "")

    assert not [secret for secret in SECRETS if secret in shown or repr(secret) in shown]
    assert shown.count("[secure]") == len(SECRETS)
    assert "files.example.com" in shown


def render(value: Any) -> str:
    console = Console(width=400, no_color=True)
    with console.capture() as capture:
        console.print(Pretty(value))
    return capture.get()


def test_the_secrets_of_a_command_are_listed_plain_and_as_json_writes_them() -> None:
    assert set(secrets_of(SECRETIVE)) == {*SECRETS, "private\\nsecret"}
    assert list(secrets_of(SECRETIVE)) == sorted(secrets_of(SECRETIVE), key=len, reverse=True)
    assert secrets_of(StartRecording(id="c", meeting_id=MEETING)) == ()
    assert secrets_of(StopRecording(id="c", start_id="s")) == ()


def test_the_secrets_of_a_command_include_no_empty_text() -> None:
    empty = StorageConfig(type="aws", secret="", password="")

    assert secrets_of(StartRecording(meeting_id=MEETING, storage_config=empty)) == ()


def test_the_api_receives_exactly_the_fields_of_the_publisher() -> None:
    fields: dict[str, Any] = {
        "meeting_id": MEETING,
        "storage_config": None,
        "max_seconds": 60,
        "video_config": {"watermark": {}},
    }
    own_fields = {"deadline": "2036-01-01T00:00:00Z", "app": "a", "storage_profile": "archive"}

    command = _decoded({"type": "start_recording", "id": "c"} | own_fields | fields)

    assert isinstance(command, StartRecording)
    assert command.body() == fields


def test_the_api_receives_the_user_ids_and_layers_of_a_track_recording() -> None:
    fields = {
        "meeting_id": MEETING,
        "user_ids": ["a", "b"],
        "layers": {"default": {"file_name_prefix": "weekly_sync"}},
    }

    command = _decoded({"type": "start_track_recording", "id": "c"} | fields)

    assert isinstance(command, StartTrackRecording)
    assert command.body() == fields


def test_encoding_a_text_that_utf_8_cannot_express_raises_an_error() -> None:
    with pytest.raises(Malformed, match="not_utf8"):
        encode_command(StartTrackRecording(id="\udcff", meeting_id=MEETING))


def test_encoding_a_command_that_breaks_a_rule_raises_an_error() -> None:
    with pytest.raises(Malformed, match="invalid_field: field `meeting_id` must be a UUID"):
        encode_command(StartTrackRecording(id="c", meeting_id="weekly"))
    with pytest.raises(Malformed, match="missing_id"):
        encode_command(StartTrackRecording(meeting_id=MEETING))


NAMES = st.sampled_from(
    [
        *("type", "id", "deadline", "app", "meeting_id", "recording_id", "start_id", "kind"),
        *("user_ids", "layers", "default", "storage_config", "video_config", "watermark", "size"),
        *("specversion", "source", "data", "max_seconds", "url", "private_key"),
    ]
)
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([*COMMAND_TYPES, MEETING, "1.0", "track", "aws"])
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)
CONTENT_TYPES = st.sampled_from([None, "application/json", CLOUDEVENTS, "text/plain"])


def _is_command_or_malformed(body: bytes, content_type: str | None, message_id: str | None) -> None:
    try:
        outcome = decode_command(body, content_type=content_type, message_id=message_id)
    except Malformed as refusal:
        _says_what_it_can(refusal)
    else:
        assert 1 <= len(outcome.id) <= 128
        assert decode_command(encode_command(outcome)) == outcome


def _says_what_it_can(refusal: Malformed) -> None:
    assert refusal.command_type in {*COMMAND_TYPES, "unknown"}
    assert refusal.command_id is None or 1 <= len(refusal.command_id) <= 128
    assert refusal.message.isprintable()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), CONTENT_TYPES, st.none() | st.text(max_size=130))
def test_no_bytes_raise_anything_but_malformed(
    body: bytes, content_type: str | None, message_id: str | None
) -> None:
    _is_command_or_malformed(body, content_type, message_id)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=8), CONTENT_TYPES, st.none() | st.text(max_size=4))
def test_no_json_raises_anything_but_malformed(
    document: dict[str, Any], content_type: str | None, message_id: str | None
) -> None:
    _is_command_or_malformed(json.dumps(document).encode(), content_type, message_id)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*examples.documents().values(), EVENT | {"data": START}, WHOLE]),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), min_size=1, max_size=4),
    CONTENT_TYPES,
)
def test_no_damage_to_a_message_raises_anything_but_malformed(
    document: Any, damage: list[tuple[int, bytes]], content_type: str | None
) -> None:
    body = bytearray(json.dumps(document).encode())
    for place, new in damage:
        at = place % len(body)
        body[at : at + max(1, len(new))] = new or b'"'

    _is_command_or_malformed(bytes(body), content_type, None)


def test_a_body_above_the_maximum_size_is_refused_unread() -> None:
    refused = _refusal(START, message_id="message-id", max_bytes=10)
    assert (refused.code, refused.command_id, refused.command_type) == (
        "too_large",
        "message-id",
        "unknown",
    )
    assert _decoded(START, max_bytes=1000).id == "body-id"
