"""For every rule of a command, a command that breaks it: JSON Schema and the decoder refuse it."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest
from jsonschema import Draft202012Validator

from recording_schemas import (
    COMMAND_TYPES,
    Malformed,
    StartTrackRecording,
    decode_command,
    encode_command,
    examples,
)
from recording_schemas.export import HOME
from recording_schemas.rules import field_names, type_at
from tests.contract.schemas.message_schemas import SCHEMAS

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
EVENT = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "com.example.stop"}
TARGETED = ("stop_recording", "pause_recording", "resume_recording")
LONG = "x" * 20_000

SMALLEST: dict[str, dict[str, Any]] = {
    "start_track_recording": {"meeting_id": MEETING},
    "start_recording": {"meeting_id": MEETING},
    "stop_recording": {"recording_id": MEETING},
    "pause_recording": {"recording_id": MEETING},
    "resume_recording": {"recording_id": MEETING},
    "sync_recording": {"recording_id": MEETING},
    "replay_recording": {"recording_id": MEETING},
    "archive_recording": {"recording_id": MEETING},
}


class InvalidCommand(NamedTuple):
    """A command that is valid except for `fields`, and the expected error."""

    type: str
    fields: dict[str, Any]
    field: str | None
    code: str = "invalid_field"

    @property
    def body(self) -> dict[str, Any]:
        return {"type": self.type, "id": "c-1"} | SMALLEST[self.type] | self.fields


def _common() -> list[InvalidCommand]:
    return [
        invalid
        for name in COMMAND_TYPES
        for invalid in (
            InvalidCommand(name, {"id": ""}, "id"),
            InvalidCommand(name, {"id": "x" * 129}, "id"),
            InvalidCommand(name, {"id": "a\x00b"}, "id"),
            InvalidCommand(name, {"id": "a\n"}, "id"),
            InvalidCommand(name, {"id": 7}, "id"),
            InvalidCommand(name, {"id": None}, "id"),
            InvalidCommand(name, {"deadline": "tomorrow"}, "deadline"),
            InvalidCommand(name, {"deadline": "2030-01-01T00:00:00"}, "deadline"),
            InvalidCommand(name, {"deadline": 1893456000}, "deadline"),
            InvalidCommand(name, {"deadline": "2030-01-01T00:00:00Z\n"}, "deadline"),
            InvalidCommand(name, {"app": ""}, "app"),
            InvalidCommand(name, {"app": LONG}, "app"),
            InvalidCommand(name, {"surprise": 1}, "surprise", "unknown_field"),
        )
    ]


def _track() -> list[InvalidCommand]:
    def track(
        fields: dict[str, Any], field: str | None, code: str = "invalid_field"
    ) -> InvalidCommand:
        return InvalidCommand("start_track_recording", fields, field, code)

    return [
        track({"meeting_id": "weekly"}, "meeting_id"),
        track({"meeting_id": MEETING + "\n"}, "meeting_id"),
        track({"meeting_id": None}, "meeting_id"),
        track({"user_ids": []}, "user_ids"),
        track({"user_ids": None}, "user_ids"),
        track({"user_ids": "alice"}, "user_ids"),
        track({"user_ids": ["a"] * 101}, "user_ids"),
        track({"user_ids": ["a", "b", "c", ""]}, "user_ids[3]"),
        track({"user_ids": ["x" * 257]}, "user_ids[0]"),
        track({"user_ids": ["a", 2]}, "user_ids[1]"),
        track({"user_id": ["a"]}, "user_id", "unknown_field"),
        track({"layers": None}, "layers"),
        track({"layers": {"video": {}}}, "layers.video", "unknown_field"),
        track({"layers": {"default": []}}, "layers.default"),
        track({"layers": {"default": {"media_kind": "video"}}}, "layers.default.media_kind"),
        track({"layers": {"default": {"prefix": "a"}}}, "layers.default.prefix", "unknown_field"),
        *(
            track(
                {"layers": {"default": {"file_name_prefix": prefix}}},
                "layers.default.file_name_prefix",
            )
            for prefix in ("", "a.b", "a/b", "café", "x" * 257, "\u00a0", 7)
        ),
        track({"custom_participant_ids": []}, "custom_participant_ids"),
        track({"custom_participant_ids": None}, "custom_participant_ids"),
        track({"custom_participant_ids": ["a"] * 101}, "custom_participant_ids"),
        track({"custom_participant_ids": ["a", ""]}, "custom_participant_ids[1]"),
        track({"custom_participant_ids": ["a\n"]}, "custom_participant_ids[0]"),
        track({"custom_participant_ids": ["x" * 257]}, "custom_participant_ids[0]"),
        *(
            track({"max_seconds": seconds}, "max_seconds")
            for seconds in (59, 86_401, "60", True, 60.5)
        ),
        track({"storage_config": {"type": "aws"}}, "storage_config", "unknown_field"),
    ]


def _starts() -> list[InvalidCommand]:
    wrong: dict[str, list[Any]] = {
        "wait_for_session": ["yes", 1, None],
        "metadata": [
            "case 7",
            ["case"],
            {str(number): "x" for number in range(17)},
            {"": "x"},
            {"x" * 65: "y"},
            {"a\n": "x"},
        ],
        "metadata.case": [7, None, {}, "x" * 513],
    }
    return [
        InvalidCommand(name, _nested(field, value), field)
        for name in ("start_track_recording", "start_recording")
        for field, values in wrong.items()
        for value in values
    ]


def _composite() -> list[InvalidCommand]:
    wrong: dict[str, list[Any]] = {
        "meeting_id": ["weekly", 1],
        "allow_multiple_recordings": ["yes", 1, None],
        "audio_config": ["AAC", None],
        "audio_config.codec": ["FLAC", "aac"],
        "audio_config.channel": ["5.1"],
        "audio_config.export_file": ["true"],
        "file_name_prefix": ["", LONG, "a\x00", 3],
        "interactive_config": [[]],
        "interactive_config.type": ["ID4"],
        "max_seconds": [59, 86_401, "60", True, 60.5, 10**30],
        "realtimekit_bucket_config": [True],
        "realtimekit_bucket_config.enabled": ["true", None],
        "rtmp_out_config": ["rtmp://live.example.com/key"],
        "rtmp_out_config.rtmp_url": ["live", "rtmp://a b", LONG],
        "storage_config": ["aws", []],
        "storage_config.type": ["s3", None],
        "storage_profile": ["", LONG],
        "url": ["example.com", "https://example.com/a b", "https://e.com/\n", "https://é.com", ""],
        "video_config": [False],
        "video_config.codec": ["H265", "VP10"],
        "video_config.export_file": [0],
        "video_config.height": [0, 1921, "720", 720.5],
        "video_config.width": [0, 1921],
        "video_config.watermark": ["https://example.com/logo.png"],
        "video_config.watermark.position": ["left_top", "center"],
        "video_config.watermark.size": [120],
        "video_config.watermark.size.height": [0, -1, 65_536],
        "video_config.watermark.size.width": [0, "40"],
        "video_config.watermark.url": ["logo.png"],
    }
    wrong |= {
        f"storage_config.{field}": [1, LONG]
        for field in (
            *("account_id", "access_key", "secret", "bucket", "region", "path", "auth_method"),
            *("username", "password", "host", "private_key"),
        )
    }
    wrong["storage_config.port"] = [0, 65_536, "22"]
    return [
        *(
            InvalidCommand("start_recording", _nested(field, value), field)
            for field, values in wrong.items()
            for value in values
        ),
        *_composite_unknown(),
        *_composite_together(),
    ]


def _composite_unknown() -> list[InvalidCommand]:
    paths = (
        *("layers", "user_ids", "audio_config.bitrate", "interactive_config.x"),
        *("realtimekit_bucket_config.enable", "rtmp_out_config.url", "storage_config.acl"),
        *("video_config.fps", "video_config.watermark.x", "video_config.watermark.size.depth"),
    )
    return [
        InvalidCommand("start_recording", _nested(path, 1), path, "unknown_field") for path in paths
    ]


def _composite_together() -> list[InvalidCommand]:
    def storage(field: str, **fields: str) -> InvalidCommand:
        return InvalidCommand("start_recording", {"storage_config": fields}, field, "missing_field")

    storages = {"storage_profile": "archive", "storage_config": {"type": "aws"}}
    bucket: dict[str, Any] = {"realtimekit_bucket_config": {}}
    return [
        storage("storage_config.type", bucket="b"),
        storage("storage_config.account_id", type="cloudflare", bucket="b"),
        storage("storage_config.private_key", type="sftp", auth_method="KEY"),
        storage("storage_config.password", type="sftp", auth_method="PASSWORD"),
        InvalidCommand("start_recording", storages, "storage_profile", "conflicting_fields"),
        InvalidCommand(
            "start_recording", bucket, "realtimekit_bucket_config.enabled", "missing_field"
        ),
    ]


def _targeted() -> list[InvalidCommand]:
    return [
        invalid
        for name in TARGETED
        for invalid in (
            InvalidCommand(name, {"recording_id": "weekly"}, "recording_id"),
            InvalidCommand(name, {"recording_id": None, "meeting_id": "weekly"}, "meeting_id"),
            InvalidCommand(name, {"recording_id": None, "start_id": ""}, "start_id"),
            InvalidCommand(name, {"recording_id": None, "start_id": "x" * 129}, "start_id"),
            InvalidCommand(name, {"recording_id": None}, None, "missing_field"),
            InvalidCommand(name, {"start_id": "c-0"}, None, "conflicting_fields"),
            InvalidCommand(name, {"meeting_id": MEETING}, None, "conflicting_fields"),
            InvalidCommand(name, {"kind": "track"}, "kind", "conflicting_fields"),
            InvalidCommand(
                name, {"recording_id": None, "meeting_id": MEETING, "kind": "both"}, "kind"
            ),
        )
    ]


def _nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        around: dict[str, Any] = {name: value}
        if name != "type" and path.startswith(f"storage_config.{name}"):
            around["type"] = "aws"
        value = around
    return dict(value)


INVALID_COMMANDS = [
    *_common(),
    *_starts(),
    *_track(),
    *_composite(),
    *_targeted(),
    InvalidCommand("sync_recording", {"recording_id": "weekly"}, "recording_id"),
    InvalidCommand("sync_recording", {"meeting_id": MEETING}, "meeting_id", "unknown_field"),
    InvalidCommand("archive_recording", {"recording_id": "weekly"}, "recording_id"),
    InvalidCommand("archive_recording", {"recording_id": None}, "recording_id"),
    InvalidCommand("archive_recording", {"start_id": "s"}, "start_id", "unknown_field"),
    InvalidCommand("archive_recording", {"meeting_id": MEETING}, "meeting_id", "unknown_field"),
    InvalidCommand("replay_recording", {"recording_id": "weekly"}, "recording_id"),
    InvalidCommand("replay_recording", {"start_id": ""}, "start_id"),
    InvalidCommand("replay_recording", {"start_id": "s"}, None, "conflicting_fields"),
    InvalidCommand("replay_recording", {"recording_id": None}, None, "missing_field"),
    InvalidCommand("replay_recording", {"meeting_id": MEETING}, "meeting_id", "unknown_field"),
]


def _label(invalid: InvalidCommand) -> str:
    return f"{invalid.type}-{json.dumps(invalid.fields)[:40]}"


@pytest.mark.parametrize("invalid", INVALID_COMMANDS, ids=_label)
def test_a_broken_rule_is_refused_and_its_field_is_named(invalid: InvalidCommand) -> None:
    with pytest.raises(Malformed) as refused:
        decode_command(json.dumps(invalid.body).encode())

    assert (refused.value.code, refused.value.field) == (invalid.code, invalid.field)
    assert refused.value.command_type == invalid.type
    names = ["recording_id", "start_id", *(["meeting_id"] if invalid.type in TARGETED else [])]
    for name in invalid.field.split(".") if invalid.field else names:
        assert name in refused.value.message


@pytest.mark.parametrize("invalid", INVALID_COMMANDS, ids=_label)
def test_the_json_schema_and_the_decoder_refuse_the_same(invalid: InvalidCommand) -> None:
    assert not Draft202012Validator(SCHEMAS[invalid.type]).is_valid(invalid.body)


@pytest.mark.parametrize("name", COMMAND_TYPES)
def test_each_field_of_each_command_has_a_rule_with_a_test(name: str) -> None:
    tested = {invalid.field for invalid in INVALID_COMMANDS if invalid.type == name}

    assert _paths(name, []) - {"type"} <= tested


def _paths(name: str, path: list[str]) -> set[str]:
    fields = field_names(type_at(COMMAND_TYPES[name], path))
    if path and path[-1] == "default":
        return {".".join([*path, field]) for field in fields} | {"layers.default"}
    below = [_paths(name, [*path, field]) for field in fields]
    direct = {".".join([*path, field]) for field in fields}
    return direct.union(*below)


@pytest.mark.parametrize("name", COMMAND_TYPES)
def test_the_smallest_command_is_enough(name: str) -> None:
    body = {"type": name, "id": "c-1"} | SMALLEST[name]

    command = decode_command(json.dumps(body).encode())

    assert command.command_type == name
    assert msgspec.to_builtins(command) == body
    Draft202012Validator(SCHEMAS[name]).validate(body)


@pytest.mark.parametrize("name", sorted(COMMAND_TYPES.keys() - {*TARGETED, "replay_recording"}))
def test_a_missing_required_field_is_named(name: str) -> None:
    (field,) = SMALLEST[name]

    with pytest.raises(Malformed, match=f"missing_field: field `{field}` is missing"):
        decode_command(json.dumps({"type": name, "id": "c-1"}).encode())


@pytest.mark.parametrize(
    "time",
    [
        "2016-12-31T23:59:60Z",
        "2016-12-31t23:59:60.5z",
        "2017-01-01 00:59:60+01:00",
        "2016-12-31T18:29:60.123456789-05:30",
    ],
)
def test_a_deadline_may_be_a_leap_second(time: str) -> None:
    body = {"type": "stop_recording", "id": "c-1", "start_id": "s", "deadline": time}
    Draft202012Validator(SCHEMAS["stop_recording"]).validate(body)
    command = decode_command(json.dumps(body).encode())
    assert command.deadline == datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "is_valid"),
    [
        ("2036-01-01T10:05:00Z", True),
        ("2036-01-01t10:05:00z", True),
        ("2036-01-01 10:05:00Z", True),
        ("2036-01-01\t10:05:00Z", False),
        ("2036-01-01\u00a010:05:00Z", False),
        ("2036-01-01_10:05:00Z", False),
        ("2036-01-01T10:05:00+02:00", True),
        ("2036-01-01T10:05:00-00:00", True),
        ("2036-01-01T10:05:00+23:59", True),
        ("2036-01-01T10:05:00+24:00", False),
        ("2036-01-01T10:05:00+02:60", False),
        ("2036-01-01T10:05:00+0200", False),
        ("2036-01-01t10:05:00.5-0330", False),
        ("2036-06-30T23:59:60+0000", False),
        ("2036-01-01T10:05:00+02", False),
        ("2036-01-01T10:05:00\u221202:00", False),
        ("2036-01-01T10:05:00 +02:00", False),
        ("2036-01-01T10:05:00+02:00[Europe/Paris]", False),
        ("2036-01-01T10:05:00", False),
        ("2036-01-01T10:05Z", False),
        ("2036-01-01", False),
        ("2036-01-01T10:05:00.1Z", True),
        ("2036-01-01T10:05:00.1234567890123456789Z", True),
        ("2036-01-01T10:05:00.Z", False),
        ("2036-01-01T10:05:00,5Z", False),
        ("2036-01-01T00:00:00Z", True),
        ("2036-01-01T24:00:00Z", False),
        ("2036-01-01T10:60:00Z", False),
        ("2036-01-01T10:05:61Z", False),
        ("2036-00-01T10:05:00Z", False),
        ("2036-13-01T10:05:00Z", False),
        ("2036-01-00T10:05:00Z", False),
        ("2036-01-32T10:05:00Z", False),
        ("2036-1-1T10:05:00Z", False),
        ("20360101T100500Z", False),
        ("2036-W01-1T10:05:00Z", False),
        ("0000-01-01T10:05:00Z", False),
        ("0001-01-01T10:05:00Z", True),
        ("9999-12-31T23:59:59Z", True),
        ("10000-01-01T10:05:00Z", False),
        ("-036-01-01T10:05:00Z", False),
        ("\uff12036-01-01T10:05:00Z", False),
        (" 2036-01-01T10:05:00Z", False),
    ],
)
def test_the_schema_and_the_decoder_accept_the_same_deadlines(time: str, is_valid: bool) -> None:
    body = {"type": "stop_recording", "id": "c-1", "start_id": "s", "deadline": time}
    assert Draft202012Validator(SCHEMAS["stop_recording"]).is_valid(body) is is_valid
    in_event = EVENT | {"data": body}
    for text in (json.dumps(body), json.dumps(in_event), json.dumps(body) + " " * 200_000):
        assert _is_refused_for(text.encode(), "deadline") is not is_valid


def _is_refused_for(body: bytes, field: str) -> bool:
    try:
        decode_command(body)
    except Malformed as refused:
        return (refused.code, refused.field) == ("invalid_field", field)
    return False


@pytest.mark.parametrize("time", ["2036-02-30T10:05:00Z", "2036-01-01T10:05:60Z"])
def test_of_a_date_that_does_not_exist_the_schema_shows_the_form_alone(time: str) -> None:
    body = {"type": "stop_recording", "id": "c-1", "start_id": "s", "deadline": time}
    assert Draft202012Validator(SCHEMAS["stop_recording"]).is_valid(body)
    assert _is_refused_for(json.dumps(body).encode(), "deadline")


@pytest.mark.parametrize(
    ("command_type", "field"),
    [
        ("start_track_recording", "meeting_id"),
        ("start_recording", "meeting_id"),
        *((name, field) for name in TARGETED for field in ("meeting_id", "recording_id")),
        ("sync_recording", "recording_id"),
        ("replay_recording", "recording_id"),
        ("archive_recording", "recording_id"),
    ],
)
def test_the_id_of_a_meeting_or_recording_becomes_lower_case(command_type: str, field: str) -> None:
    body = {"type": command_type, "id": "C-1", field: MEETING.upper()}
    command = decode_command(json.dumps(body).encode())
    assert (command.id, getattr(command, field)) == ("C-1", MEETING)


def test_a_deadline_in_metadata_may_have_any_form() -> None:
    own = {"deadline": "2036-01-01T10:05:00Z", "metadata": {"deadline": "at ten"}}
    body = {"type": "start_track_recording", "id": "c-1", "meeting_id": MEETING} | own
    assert decode_command(json.dumps(body).encode()).id == "c-1"


def test_a_value_of_metadata_may_be_any_text() -> None:
    """Notes have several lines, and names in Hebrew or Arabic have marks of direction."""
    own = {"note": "first\n\tsecond", "host": "\u200f\u05e9\u200e", "bytes": "\x00\x1b\x7f"}
    body = {"type": "start_track_recording", "id": "c-1", "meeting_id": MEETING, "metadata": own}
    command = decode_command(json.dumps(body).encode())
    assert isinstance(command, StartTrackRecording)
    assert command.metadata == own
    assert Draft202012Validator(SCHEMAS["start_track_recording"]).is_valid(body)


def test_metadata_with_the_name_of_the_deadline_stays_as_it_is() -> None:
    leap = "2026-12-31T23:59:60Z"
    body = {
        "type": "start_track_recording",
        "id": "c-1",
        "meeting_id": MEETING,
        "deadline": leap,
        "metadata": {"deadline": leap},
    }
    command = decode_command(json.dumps(body).encode())
    assert isinstance(command, StartTrackRecording)
    assert command.metadata == {"deadline": leap}


@pytest.mark.parametrize(
    "time",
    [
        "2016-12-30T23:59:60Z",
        "2016-12-31T23:58:60Z",
        "2016-12-31T23:59:61Z",
        "2016-12-31T23:59:60",
        "2016-13-31T23:59:60Z",
        "9999-12-31T23:59:60Z",
    ],
)
def test_another_second_60_is_no_deadline(time: str) -> None:
    body = {"type": "stop_recording", "id": "c-1", "start_id": "s", "deadline": time}
    with pytest.raises(Malformed, match="invalid_field: field `deadline`"):
        decode_command(json.dumps(body).encode())


@pytest.mark.parametrize("name", COMMAND_TYPES)
@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_deadline_outside_the_calendar_is_refused(name: str, time: str) -> None:
    body = {"type": name, "id": "c-1", "deadline": time} | SMALLEST[name]

    with pytest.raises(Malformed, match="field `deadline` must lie in the years"):
        decode_command(json.dumps(body).encode())


@pytest.mark.parametrize("name", TARGETED)
def test_null_counts_as_not_given_among_the_targets(name: str) -> None:
    body = {"type": name, "id": "c-1", "recording_id": None, "start_id": "c-0", "kind": None}

    command = decode_command(json.dumps(body).encode())

    assert msgspec.to_builtins(command) == {"type": name, "id": "c-1", "start_id": "c-0"}
    Draft202012Validator(SCHEMAS[name]).validate(body)


@pytest.mark.parametrize("command", examples.COMMANDS, ids=lambda command: command.command_type)
def test_every_example_of_a_command_survives_a_round_trip(command: Any) -> None:
    name = command.command_type
    written = (HOME / "examples" / f"{name}.json").read_bytes()

    assert decode_command(written) == command
    assert decode_command(encode_command(command)) == command
    Draft202012Validator(SCHEMAS[name]).validate(json.loads(written))


def test_there_is_one_example_of_every_command() -> None:
    assert [command.command_type for command in examples.COMMANDS] == list(COMMAND_TYPES)


def test_each_command_struct_has_the_type_it_is_listed_under() -> None:
    tags = {name: struct.__struct_config__.tag for name, struct in COMMAND_TYPES.items()}

    assert tags == {name: name for name in COMMAND_TYPES}


@pytest.mark.parametrize(
    "letter", ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u200f", "\u2028", "\u202e"]
)
@pytest.mark.parametrize("field", ["id", "start_id"])
def test_an_id_may_not_hold_characters_that_deceive_a_reader(field: str, letter: str) -> None:
    body = {"type": "stop_recording", "id": "c", "start_id": "s", field: f"a{letter}b"}
    with pytest.raises(Malformed) as malformed:
        decode_command(json.dumps(body).encode())
    assert malformed.value.field == field
