"""Flags and files become commands, or errors that name the flag and the member."""

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


def composed(base: object = None, **given: Any) -> Command:
    special = {
        "user_ids": given.pop("user_ids", ()),
        "prefix": given.pop("prefix", None),
        "members": given.pop("members", ()),
    }
    body = base if isinstance(base, bytes) or base is None else msgspec.json.encode(base)
    return build_command(body, given, **special)


def wrong(base: object = None, **given: Any) -> str:
    with pytest.raises(click.UsageError) as caught:
        composed(base, **given)
    return str(caught.value)


def test_flags_make_a_start_of_tracks() -> None:
    made = composed(
        type="start_track_recording", meeting_id=MEETING, user_ids=("a_b", "c"), prefix="p_q"
    )

    assert isinstance(made, StartTrackRecording)
    assert made.body() == {
        "meeting_id": MEETING,
        "user_ids": ["a_b", "c"],
        "layers": {"default": {"file_name_prefix": "p_q"}},
    }


def test_the_prefix_of_a_composite_is_a_member_of_its_own() -> None:
    made = composed(type="start_recording", meeting_id=MEETING, prefix="p")

    assert isinstance(made, StartRecording)
    assert made.file_name_prefix == "p"


def test_members_are_json_or_plain_words_at_any_depth() -> None:
    made = composed(
        type="start_recording",
        meeting_id=MEETING,
        members=(
            "max_seconds=3600",
            "video_config.codec=VP8",
            "video_config.watermark.size.width=10",
            'audio_config={"codec": "MP3"}',
            "url=https://example.test/?a=b",
        ),
    )

    assert isinstance(made, StartRecording)
    assert made.body() == {
        "meeting_id": MEETING,
        "max_seconds": 3600,
        "video_config": {"codec": "VP8", "watermark": {"size": {"width": 10}}},
        "audio_config": {"codec": "MP3"},
        "url": "https://example.test/?a=b",
    }


def test_a_command_without_an_id_is_given_a_random_one() -> None:
    ids = {composed(type="sync_recording", recording_id=MEETING).id for _ in range(3)}

    assert len({UUID(one) for one in ids}) == 3


@pytest.mark.parametrize("flags", [{}, {"id": "mine"}])
def test_the_id_of_a_file_is_kept_unless_a_flag_says_otherwise(flags: dict[str, str]) -> None:
    base = {"type": "sync_recording", "recording_id": MEETING, "id": "theirs"}

    assert composed(base, **flags).id == flags.get("id", "theirs")


def test_flags_are_put_over_a_file() -> None:
    base = {"type": "start_recording", "meeting_id": OTHER, "video_config": {"width": 640}}

    made = composed(base, meeting_id=MEETING, members=("video_config.height=480",))

    assert isinstance(made, StartRecording)
    assert made.body() == {"meeting_id": MEETING, "video_config": {"width": 640, "height": 480}}


def test_a_cloudevent_in_a_file_is_taken_for_its_data() -> None:
    envelope = {
        "specversion": "1.0",
        "id": "event-1",
        "source": "test",
        "type": "start",
        "data": {"type": "stop_recording", "meeting_id": OTHER},
    }

    made = composed(envelope, meeting_id=MEETING)

    assert (made.id, getattr(made, "meeting_id", None)) == ("event-1", MEETING)


@pytest.mark.parametrize(
    ("given", "words"),
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
        ({"type": "start_recording", "members": ["max_seconds"]}, ["--member", "PATH=VALUE"]),
        ({"type": "start_recording", "members": ["a..b=1"]}, ["--member", "PATH=VALUE"]),
        ({"type": "start_recording", "members": ["type.x=1"]}, ["--member", "`type`"]),
        (
            {"type": "start_recording", "meeting_id": MEETING, "members": ["max_seconds=1"]},
            ["max_seconds"],
        ),
    ],
)
def test_a_wrong_flag_is_named(given: dict[str, Any], words: list[str]) -> None:
    said = wrong(**given)

    assert all(word in said for word in words), said


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
def test_a_file_without_a_command_is_refused_in_words(base: bytes, word: str) -> None:
    assert word in wrong(base)


def test_a_received_value_is_never_repeated() -> None:
    base = {
        "type": "start_recording",
        "meeting_id": MEETING,
        "storage_config": {"type": "aws", "secret": ["hunter2"]},
    }

    said = wrong(base)

    assert "storage_config.secret" in said
    assert "hunter2" not in said


def test_a_deadline_from_now_on_is_aware_and_ahead() -> None:
    asked = datetime.now(UTC)

    deadline = datetime.fromisoformat(deadline_in(60))

    assert 59 < (deadline - asked).total_seconds() < 90
