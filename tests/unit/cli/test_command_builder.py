"""Flags and files become commands, or errors that name the flag and the field."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
import msgspec
import pytest

from recording_schemas import Command, StartRecording, StartTrackRecording
from worker.cli.command_builder import build_command, deadline_in

MEETING = "5f0f1d2e-1111-4222-8333-944455556666"
OTHER = "6f0f1d2e-1111-4222-8333-944455556666"


def built(base: object = None, **flags: Any) -> Command:
    body = base if isinstance(base, bytes) or base is None else msgspec.json.encode(base)
    return build_command(body, **flags)


def error_of(base: object = None, **flags: Any) -> str:
    with pytest.raises(click.UsageError) as caught:
        built(base, **flags)
    return str(caught.value)


def test_flags_build_a_start_of_tracks() -> None:
    command = built(
        type="start_track_recording", meeting_id=MEETING, user_ids=("a_b", "c"), prefix="p_q"
    )

    assert isinstance(command, StartTrackRecording)
    assert command.body() == {
        "meeting_id": MEETING,
        "user_ids": ["a_b", "c"],
        "layers": {"default": {"file_name_prefix": "p_q"}},
    }


def test_flags_name_people_by_their_own_ids() -> None:
    command = built(
        type="start_track_recording", meeting_id=MEETING, custom_participant_ids=("ann", "b c")
    )

    assert isinstance(command, StartTrackRecording)
    assert command.custom_participant_ids == ("ann", "b c")
    assert command.body() == {"meeting_id": MEETING}


def test_metadata_is_always_text_and_overrides_the_file() -> None:
    base = {"type": "start_recording", "meeting_id": MEETING, "metadata": {"case": "1", "a": "b"}}
    command = built(base, metadata=("case=7", "url=https://e.com/?x=y", "empty=", "dotted.name=z"))

    assert isinstance(command, StartRecording)
    assert command.metadata == {
        "case": "7",
        "a": "b",
        "url": "https://e.com/?x=y",
        "empty": "",
        "dotted.name": "z",
    }


def test_wrong_metadata_is_an_error_that_names_its_flag() -> None:
    start = {"type": "start_track_recording", "meeting_id": MEETING}

    assert "--metadata: 'case'" in error_of(**start, metadata=("case",))
    assert "--metadata: ''" in error_of(**start, metadata=("=7",))
    text = error_of(**start, metadata=(f"case={'x' * 513}",))
    assert text.startswith("invalid_field: field `metadata.case` must be a string")
    assert text.endswith("(--metadata)")


def test_a_wrong_own_id_is_an_error_that_names_its_flag() -> None:
    text = error_of(
        type="start_track_recording", meeting_id=MEETING, custom_participant_ids=("ann", "b\x00")
    )

    assert "custom_participant_ids[1]" in text
    assert "--custom-participant-id" in text


def test_the_prefix_of_a_composite_is_a_separate_field() -> None:
    command = built(type="start_recording", meeting_id=MEETING, prefix="p")

    assert isinstance(command, StartRecording)
    assert command.file_name_prefix == "p"


def test_fields_are_json_or_plain_text_at_any_depth() -> None:
    command = built(
        type="start_recording",
        meeting_id=MEETING,
        assignments=(
            "max_seconds=3600",
            "video_config.codec=VP8",
            "video_config.watermark.size.width=10",
            'audio_config={"codec": "MP3"}',
            "url=https://example.test/?a=b",
        ),
    )

    assert isinstance(command, StartRecording)
    assert command.body() == {
        "meeting_id": MEETING,
        "max_seconds": 3600,
        "video_config": {"codec": "VP8", "watermark": {"size": {"width": 10}}},
        "audio_config": {"codec": "MP3"},
        "url": "https://example.test/?a=b",
    }


def test_a_command_without_an_id_gets_a_random_one() -> None:
    ids = {built(type="sync_recording", recording_id=MEETING).id for _ in range(3)}

    assert len({UUID(text) for text in ids}) == 3


@pytest.mark.parametrize("flags", [{}, {"id": "mine"}])
def test_the_id_of_a_file_stays_unless_a_flag_overrides_it(flags: dict[str, str]) -> None:
    base = {"type": "sync_recording", "recording_id": MEETING, "id": "theirs"}

    assert built(base, **flags).id == flags.get("id", "theirs")


def test_flags_override_a_file() -> None:
    base = {"type": "start_recording", "meeting_id": OTHER, "video_config": {"width": 640}}

    command = built(base, meeting_id=MEETING, assignments=("video_config.height=480",))

    assert isinstance(command, StartRecording)
    assert command.body() == {"meeting_id": MEETING, "video_config": {"width": 640, "height": 480}}


STOP = {"type": "stop_recording", "meeting_id": OTHER}


@pytest.mark.parametrize(
    "data", [{"data": STOP}, {"data_base64": base64.b64encode(msgspec.json.encode(STOP)).decode()}]
)
def test_flags_override_the_data_of_a_cloudevent(data: dict[str, Any]) -> None:
    envelope = {"specversion": "1.0", "id": "event-1", "source": "test", "type": "start"}

    command = built(envelope | data, meeting_id=MEETING)

    assert (command.id, getattr(command, "meeting_id", None)) == ("event-1", MEETING)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, ["TYPE", "--file"]),
        ({"type": "start_track_recording"}, ["meeting_id", "--meeting-id"]),
        ({"type": "start_track_recording", "meeting_id": "x"}, ["UUID", "--meeting-id"]),
        (
            {"type": "start_track_recording", "meeting_id": MEETING, "prefix": "ü"},
            ["file_name_prefix", "--prefix"],
        ),
        ({"type": "stop_recording", "meeting_id": MEETING, "user_ids": ["a"]}, ["--user-id"]),
        ({"type": "stop_recording", "meeting_id": MEETING, "kind": "x"}, ["kind", "--kind"]),
        ({"type": "stop_recording"}, ["recording_id", "start_id", "meeting_id"]),
        ({"type": "sync_recording", "recording_id": OTHER, "deadline": "now"}, ["--deadline"]),
        ({"type": "sync_recording", "recording_id": OTHER, "id": "x" * 129}, ["id", "--id"]),
        ({"type": "start_recording", "assignments": ["max_seconds"]}, ["--field", "PATH=VALUE"]),
        ({"type": "start_recording", "assignments": ["a..b=1"]}, ["--field", "PATH=VALUE"]),
        ({"type": "start_recording", "assignments": ["type.x=1"]}, ["--field", "`type`"]),
        (
            {"type": "start_recording", "meeting_id": MEETING, "assignments": ["max_seconds=1"]},
            ["max_seconds"],
        ),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, Any], words: list[str]) -> None:
    error = error_of(**flags)

    assert all(word in error for word in words), error


@pytest.mark.parametrize(
    ("base", "word"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b"[]", "not_an_object"),
        (b'{"type":' * 100_000, "too_deep"),
        (b"{}", "missing_type"),
        (b'{"specversion": "1.0", "id": "x"}', "CloudEvent"),
    ],
)
def test_a_file_without_a_command_is_refused_with_the_reason(base: bytes, word: str) -> None:
    assert word in error_of(base)


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    command = built(b"\xef\xbb\xbf" + msgspec.json.encode(STOP), meeting_id=MEETING)

    assert getattr(command, "meeting_id", None) == MEETING


@pytest.mark.parametrize(
    "flags", [{"id": "a\udcff"}, {"metadata": ["a=\udcff"]}, {"assignments": ["app=\udcff"]}]
)
def test_a_flag_with_bytes_that_are_no_text_is_refused(flags: dict[str, Any]) -> None:
    assert "not UTF-8" in error_of(type="start_recording", meeting_id=MEETING, **flags)


def test_an_error_never_repeats_a_value() -> None:
    base = {
        "type": "start_recording",
        "meeting_id": MEETING,
        "storage_config": {"type": "aws", "secret": ["hunter2"]},
    }

    error = error_of(base)

    assert "storage_config.secret" in error
    assert "hunter2" not in error


def test_a_deadline_in_seconds_is_aware_and_in_the_future() -> None:
    now = datetime.now(UTC)

    deadline = datetime.fromisoformat(deadline_in(60))

    assert 59 < (deadline - now).total_seconds() < 90


@pytest.mark.parametrize("form", ["%s", '{"specversion":"1.0","data":%s}', "base64"])
def test_a_file_with_a_field_twice_is_refused(form: str) -> None:
    twice = '{"type":"stop_recording","start_id":"a","start_id":"b"}'
    packed = base64.b64encode(twice.encode()).decode()
    body = f'{{"specversion":"1.0","data_base64":"{packed}"}}' if form == "base64" else form % twice
    text = error_of(body.encode())
    assert text.startswith("--file: invalid_field: field `")
    assert text.endswith("start_id` must be given only once")
