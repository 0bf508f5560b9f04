"""Packed bodies, byte order marks, CloudEvents in binary mode, and the forms of numbers."""

import gzip
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from recording_schemas import Command, Malformed, StartRecording, decode_command
from tests.contract.schemas.message_schemas import SCHEMAS

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
NAMELESS = {"type": "start_track_recording", "meeting_id": MEETING}
START = NAMELESS | {"id": "body-id"}
BODY = json.dumps(START).encode()
PACKED = gzip.compress(BODY, mtime=0)
EVENT = {"specversion": "1.0", "id": "event-id", "source": "/shop", "type": "com.example.start"}


def refusal(body: bytes, **properties: Any) -> Malformed:
    with pytest.raises(Malformed) as refused:
        decode_command(body, **properties)
    return refused.value


def event_headers(prefix: str = "cloudEvents:", **changes: Any) -> dict[str, object]:
    return {f"{prefix}{name}": value for name, value in (EVENT | changes).items()}


# Packed bodies


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " x-gzip "])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_gzip_body_is_unpacked(encoding: str, mark: bytes) -> None:
    packed = gzip.compress(mark + BODY)
    assert decode_command(packed, content_encoding=encoding).id == "body-id"


@pytest.mark.parametrize("encoding", [None, "", "identity", "binary", "utf-8", "UTF-8", "us-ascii"])
def test_no_encoding_and_binary_and_the_name_of_a_charset_mean_a_plain_body(
    encoding: str | None,
) -> None:
    assert decode_command(BODY, content_encoding=encoding).id == "body-id"


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "base64"])
def test_another_encoding_is_refused_by_its_name(encoding: str) -> None:
    found = refusal(BODY, content_encoding=encoding, message_id="m")
    assert (found.code, found.command_id) == ("wrong_content_encoding", "body-id")
    assert found.message.endswith(f"not {encoding}")


def test_an_encoding_of_no_known_form_is_not_repeated() -> None:
    found = refusal(BODY, content_encoding="\x1b[2J")
    assert found.message == "the content encoding must be gzip or none"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "its end is missing"),
        (BODY, "incorrect header check"),
        (zlib.compress(BODY), "incorrect header check"),
        (PACKED[:-1], "its end is missing"),
        (PACKED[:20], "its end is missing"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "incorrect data check"),
        (PACKED[:-4] + b"\0\0\0\0", "incorrect length check"),
        (PACKED + PACKED, "several gzip members"),
        (PACKED + gzip.compress(b""), "several gzip members"),
        (PACKED + b"\0", "other bytes after the end"),
        (PACKED + BODY, "other bytes after the end"),
    ],
    ids=[
        *("empty", "plain", "zlib", "a byte short", "cut off", "wrong checksum", "wrong length"),
        *("two members", "an empty member", "a zero byte", "plain bytes behind"),
    ],
)
def test_a_body_that_is_not_one_whole_gzip_member_is_refused(body: bytes, message: str) -> None:
    found = refusal(body, content_encoding="gzip", message_id="m")
    assert (found.code, found.command_id) == ("not_gzip", "body-id" if body == BODY else "m")
    assert message in found.message


def test_a_bomb_is_unpacked_to_the_limit_only() -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    tracemalloc.start()
    found = refusal(bomb, content_encoding="gzip", max_bytes=1_000_000, message_id="m")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.code, found.command_id) == ("too_large", "m")
    assert peak < 10_000_000


def test_a_body_that_is_unpacked_to_exactly_the_limit_is_read() -> None:
    packed, limit = gzip.compress(BODY + b" " * 1_000), len(BODY) + 1_000
    assert decode_command(packed, content_encoding="gzip", max_bytes=limit).id == "body-id"
    assert refusal(packed, content_encoding="gzip", max_bytes=limit - 1).code == "too_large"


def test_without_a_limit_of_the_caller_a_bomb_is_refused_as_well() -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert refusal(bomb, content_encoding="gzip").code == "too_large"


def test_a_gzip_body_within_a_gzip_body_is_refused() -> None:
    assert refusal(gzip.compress(PACKED), content_encoding="gzip").code == "not_utf8"


# Byte order marks


def test_a_utf_8_byte_order_mark_is_no_part_of_the_body() -> None:
    assert decode_command(b"\xef\xbb\xbf" + BODY).id == "body-id"


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_body_in_utf_16_or_utf_32_is_refused(charset: str) -> None:
    found = refusal(BODY.decode().encode(charset), message_id="m")
    assert (found.code, found.command_id) == ("not_utf8", "body-id")
    assert "UTF-16" in found.message or "UTF-32" in found.message
    assert "must be UTF-8" in found.message


# CloudEvents in binary mode


@pytest.mark.parametrize("prefix", ["cloudEvents:", "cloudEvents_"])
@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_the_id_of_an_event_in_binary_mode_counts_before_the_message_id(
    prefix: str, content_type: str | None
) -> None:
    command = decode_command(
        json.dumps(NAMELESS).encode(),
        content_type=content_type,
        headers=event_headers(prefix),
        message_id="made-up-by-the-library",
    )
    assert command.id == "event-id"


def test_the_id_in_the_body_counts_before_the_id_of_an_event_in_binary_mode() -> None:
    assert decode_command(BODY, headers=event_headers(), message_id="m").id == "body-id"


def test_an_event_in_binary_mode_may_be_packed_and_have_a_byte_order_mark() -> None:
    packed = gzip.compress(b"\xef\xbb\xbf" + json.dumps(NAMELESS).encode())
    command = decode_command(packed, content_encoding="gzip", headers=event_headers())
    assert command.id == "event-id"


@pytest.mark.parametrize("name", EVENT)
@pytest.mark.parametrize("value", [None, "", 7, b"\xff", "\ud800"])
def test_an_event_in_binary_mode_needs_its_attributes_as_strings(name: str, value: object) -> None:
    headers = event_headers() | {f"cloudEvents:{name}": value}
    found = refusal(json.dumps(NAMELESS).encode(), headers=headers)
    assert (found.code, found.field) == ("missing_field", f"cloudEvents:{name}")


def test_an_event_in_binary_mode_of_another_version_is_refused() -> None:
    found = refusal(BODY, headers=event_headers(specversion="0.3"))
    assert (found.code, found.field) == ("invalid_field", "cloudEvents:specversion")


def test_the_id_of_an_event_in_binary_mode_has_the_bounds_of_an_id() -> None:
    body = json.dumps(NAMELESS).encode()
    found = refusal(body, headers=event_headers(id="i" * 129), message_id="m")
    assert (found.code, found.field, found.command_id) == ("invalid_field", "cloudEvents:id", "m")


def test_a_fault_in_the_body_of_an_event_in_binary_mode_has_the_id_of_the_event() -> None:
    body = json.dumps(NAMELESS | {"user_id": ["a"]}).encode()
    found = refusal(body, headers=event_headers(), message_id="m")
    assert (found.code, found.field, found.command_id) == ("unknown_field", "user_id", "event-id")


def test_a_structured_event_stays_one_with_any_headers() -> None:
    structured = json.dumps(EVENT | {"id": "inner", "data": NAMELESS}).encode()
    content_type = "application/cloudevents+json"
    command = decode_command(structured, content_type=content_type, headers=event_headers())
    assert command.id == "inner"


def test_headers_that_only_begin_alike_make_no_event() -> None:
    headers = {"cloudEvents:traceparent": "00-1-1-00", "cloudEventsId": "x", "traceparent": "y"}
    command = decode_command(json.dumps(NAMELESS).encode(), headers=headers, message_id="m")
    assert command.id == "m"


# Numbers


def max_seconds(number: str) -> bytes:
    fields = json.dumps(NAMELESS | {"type": "start_recording", "id": "a"})
    return f'{fields[:-1]}, "max_seconds": {number}}}'.encode()


@pytest.mark.parametrize("number", ["3600.0", "3600.00", "3.6e3", "36E+2", "36000e-1", "3600"])
def test_a_whole_number_may_have_a_point_or_an_exponent(number: str) -> None:
    assert decode_command(max_seconds(number)) == StartRecording(
        id="a", meeting_id=MEETING, max_seconds=3600
    )


@pytest.mark.parametrize(
    "number",
    [
        *("3600.5", "3600.0000001", "-0.0", "-3600.0", "1e30", "1E400", "-1E400", "59.0"),
        *("86400.5", "86401.0", "9" * 400, "9" * 400 + ".0", "1e-400", '"3600.0"', "true"),
    ],
)
def test_another_number_is_refused_with_its_field(number: str) -> None:
    found = refusal(max_seconds(number))
    assert (found.code, found.field, found.command_id) == ("invalid_field", "max_seconds", "a")


@pytest.mark.parametrize(
    "number",
    [
        *("3600.0", "3.6e3", "36000e-1", "60.0", "86400.0", "3600", "60", "86400"),
        *("3600.5", "-0.0", "0.0", "1e30", "1E400", "59.0", "86401.0", "9" * 400, '"3600"', "true"),
    ],
)
def test_the_json_schema_takes_the_same_numbers_as_the_decoder(number: str) -> None:
    text = max_seconds(number)
    try:
        command: Command | None = decode_command(text)
    except Malformed:
        command = None
    schema = Draft202012Validator(SCHEMAS["start_recording"])
    assert schema.is_valid(json.loads(text)) == (command is not None)


def test_a_nested_whole_number_may_have_a_point() -> None:
    video = {"video_config": {"width": 1280.0, "height": 720}}
    body = json.dumps(NAMELESS | {"type": "start_recording", "id": "a"} | video).encode()
    command = decode_command(body)
    assert isinstance(command, StartRecording)
    assert command.body()["video_config"] == {"width": 1280, "height": 720}


def test_the_number_of_a_structured_event_may_have_a_point() -> None:
    data = json.loads(max_seconds("3600.0"))
    assert decode_command(json.dumps(EVENT | {"data": data}).encode()).id == "a"


def test_a_fault_next_to_a_number_with_a_point_is_named() -> None:
    found = refusal(max_seconds('3600.0, "url": 7'))
    assert (found.code, found.field) == ("invalid_field", "url")


def test_a_number_with_a_point_among_many_values_is_refused_with_its_field() -> None:
    users = json.dumps(["u"] * 200_000)
    found = refusal(max_seconds(f'3600.0, "user_ids": {users}'))
    assert found.code in {"invalid_field", "unknown_field"}


# Two types


@pytest.mark.parametrize("types", [("stop", "pause"), ("pause", "stop"), ("jump", "stop")])
def test_two_different_types_are_refused(types: tuple[str, str]) -> None:
    first, last = types
    body = f'{{"type":"{first}_recording","type":"{last}_recording","id":"a","start_id":"s"}}'
    found = refusal(body.encode())
    assert (found.code, found.field, found.command_id) == ("invalid_field", "type", "a")


@pytest.mark.parametrize(
    "value",
    ['"half an emoji: \\ud83d"', "NaN", "-Infinity", '"", "b": NaN', '"", "\\udfff": ""'],
)
@pytest.mark.parametrize("wrap", ["%s", '{"specversion": "1.0", "id": "event-1", "data": %s}'])
def test_a_publisher_of_forbidden_json_values_gets_an_outcome_for_its_id(
    value: str, wrap: str
) -> None:
    command = f'{{"type": "start_track_recording", "id": "start-1", "metadata": {{"a": {value}}}}}'
    with pytest.raises(Malformed) as refused:
        decode_command((wrap % command).encode(), message_id="made-up")
    assert refused.value.command_id == "start-1"
    assert refused.value.command_type == "start_track_recording"
    assert refused.value.code == "not_json"


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda text: text.encode("latin-1"), "not_utf8"),
        (lambda text: text.encode("utf-16"), "not_utf8"),
        (lambda text: text.encode("utf-16-be"), "not_utf8"),
        (lambda text: text.replace('"é"', "[" * 9_000 + "]" * 9_000).encode(), "too_deep"),
        (
            lambda text: text.replace('"é"', '{"a":' * 9_000 + "7" + "}" * 9_000).encode(),
            "too_deep",
        ),
    ],
)
@pytest.mark.parametrize("wrap", ["%s", '{"specversion": "1.0", "id": "event-1", "data": %s}'])
def test_a_publisher_of_another_encoding_or_of_deep_nesting_gets_an_outcome_for_its_id(
    damage: Callable[[str], bytes], code: str, wrap: str
) -> None:
    command = '{"type": "start_track_recording", "metadata": {"a": "é"}, "id": "start-1"}'
    with pytest.raises(Malformed) as refused:
        decode_command(damage(wrap % command), message_id="made-up")
    assert refused.value.command_id == "start-1"
    assert refused.value.command_type == "start_track_recording"
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("wrap", "code", "words"),
    [
        (lambda text: b"\x00Sw\xa1" + bytes([len(text)]) + text, "not_json", "AMQP 1.0"),
        (lambda text: b"\x00Sw\xb0" + struct.pack(">I", len(text)) + text, "not_json", "AMQP 1.0"),
        (lambda text: json.dumps(text.decode()).encode(), "not_an_object", "encoded twice"),
    ],
    ids=["a string of AMQP 1.0", "bytes of AMQP 1.0", "a string of JSON"],
)
def test_a_publisher_of_a_wrapped_command_gets_an_outcome_for_its_id(
    wrap: Callable[[bytes], bytes], code: str, words: str
) -> None:
    command = b'{"type": "start_track_recording", "metadata": {"a": "\xc3\xa9"}, "id": "start-1"}'
    with pytest.raises(Malformed) as refused:
        decode_command(wrap(command), message_id="made-up")
    assert refused.value.command_id == "start-1"
    assert refused.value.command_type == "start_track_recording"
    assert refused.value.code == code
    assert words in refused.value.message


@pytest.mark.parametrize("found", ["5", '"\\ud83d"', '"a", NaN', "NaN", '"a" "b"'])
def test_an_id_that_cannot_be_made_out_is_not_guessed(found: str) -> None:
    body = f'{{"type": "start_track_recording", "id": {found}, "max_seconds": NaN}}'
    with pytest.raises(Malformed) as refused:
        decode_command(body.encode())
    assert (refused.value.code, refused.value.command_id) == ("not_json", None)


def test_an_id_with_a_byte_that_is_not_utf_8_is_not_guessed() -> None:
    with pytest.raises(Malformed) as refused:
        decode_command(b'{"type": "start_track_recording", "id": "caf\xe9"}')
    assert (refused.value.code, refused.value.command_id) == ("not_utf8", None)


def test_a_large_body_that_is_not_json_is_not_searched_for_an_id() -> None:
    body = b'{"id": "start-1", "x": [' + b"0," * 40_000 + b"NaN]}"
    with pytest.raises(Malformed) as refused:
        decode_command(body, message_id="message-1")
    assert refused.value.command_id == "message-1"


@pytest.mark.parametrize(
    "wrap", ["%s", '{"specversion": "1.0", "id": "e", "source": "/", "type": "t", "data": %s}']
)
def test_metadata_that_is_too_long_to_be_valid_is_refused_unread(wrap: str) -> None:
    names = ",".join(f'"name {number}": "\\u0007"' for number in range(20_000))
    command = f'{{"type": "start_track_recording", "id": "start-1", "metadata": {{{names}}}}}'
    with pytest.raises(Malformed) as refused:
        decode_command((wrap % command).encode())
    assert (refused.value.code, refused.value.command_id) == ("invalid_field", "start-1")
    assert refused.value.field == "metadata"
