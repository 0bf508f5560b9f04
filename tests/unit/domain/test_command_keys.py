"""The keys of a command, and what its recordings inherit from it."""

import json
from typing import Any

import pytest

from recording_schemas import (
    AudioConfig,
    Command,
    Media,
    StartRecording,
    StartTrackRecording,
    StopRecording,
    VideoConfig,
    decode_command,
)
from worker.domain.command_keys import command_keys, is_slot_of_app, start_context_of

MEETING = "2F1B7C3E-6a51-4f0a-9d5e-0c8f1f6f9b01"
START = StartTrackRecording(id="start", meeting_id=MEETING)
STOP = StopRecording(id="stop", meeting_id=MEETING)


@pytest.mark.parametrize("command", [START, STOP], ids=["start", "stop"])
def test_one_meeting_id_in_two_apps_is_two_meetings(command: Command) -> None:
    def shared_keys(app: str) -> set[str]:
        keys = command_keys(command, app)
        return {*([keys.slot] if keys.slot else []), *keys.rivals, *keys.locks[1:]}

    assert not shared_keys("eu") & shared_keys("us")
    assert not shared_keys("eu") & shared_keys("default")


def test_a_stop_of_a_meeting_waits_for_exactly_the_slots_that_its_starts_take() -> None:
    assert command_keys(START, "eu").slot in command_keys(STOP, "eu").rivals
    assert command_keys(START, "eu").rivals == ()


def test_a_stop_of_one_kind_concerns_the_slot_of_that_kind_alone() -> None:
    stop = StopRecording(id="stop", meeting_id=MEETING, kind="track")
    assert command_keys(stop, "eu").rivals == (command_keys(START, "eu").slot,)


@pytest.mark.parametrize("app", ["default", "eu"])
def test_a_slot_is_of_the_app_whose_start_takes_it(app: str) -> None:
    slot = command_keys(START, app).slot
    assert slot
    assert [name for name in ("default", "eu", "e", "us") if is_slot_of_app(slot, name)] == [app]


def test_the_slots_of_the_default_app_have_no_prefix() -> None:
    assert command_keys(START, "default").slot == f"{MEETING.lower()}/track"


def test_a_command_for_an_app_that_is_not_configured_takes_no_slot() -> None:
    keys = command_keys(START, None)
    assert (keys.app, keys.slot, keys.rivals) == (None, None, ())


@pytest.mark.parametrize(
    ("command", "media"),
    [
        (START, ()),
        (StartRecording(id="mix", meeting_id=MEETING), ("video", "audio")),
        (
            StartRecording(
                id="mix", meeting_id=MEETING, audio_config=AudioConfig(export_file=False)
            ),
            ("video",),
        ),
        (
            StartRecording(
                id="mix",
                meeting_id=MEETING,
                video_config=VideoConfig(export_file=False),
                audio_config=AudioConfig(export_file=True),
            ),
            ("audio",),
        ),
    ],
    ids=["track", "composite", "video alone", "audio alone"],
)
def test_a_composite_recording_inherits_which_files_its_start_asks_for(
    command: Command, media: tuple[Media, ...]
) -> None:
    assert start_context_of(command, correlation_id=None, trace={}).media == media


@pytest.mark.parametrize(
    ("fields", "has_secrets"),
    [
        ({}, False),
        ({"storage_profile": "archive"}, True),
        ({"rtmp_out_config": {"rtmp_url": "rtmp://live.example/app/key"}}, True),
        (
            {
                "storage_config": {
                    "type": "aws",
                    "bucket": "b",
                    "region": "eu",
                    "access_key": "a",
                    "secret": "s",
                }
            },
            True,
        ),
    ],
)
def test_a_composite_start_notes_whether_it_carried_credentials(
    fields: dict[str, Any], has_secrets: bool
) -> None:
    body = {"type": "start_recording", "id": "c", "meeting_id": MEETING, **fields}
    command = decode_command(json.dumps(body).encode(), max_bytes=10_000)
    context = start_context_of(command, correlation_id=None, trace={})
    assert context.has_secrets is has_secrets


@pytest.mark.parametrize(
    ("fields", "user_ids", "max_seconds"),
    [
        ({}, (), None),
        ({"user_ids": ["ann", "bob"], "max_seconds": 90}, ("ann", "bob"), 90),
    ],
)
def test_a_track_recording_inherits_whom_to_record_and_for_how_long(
    fields: dict[str, Any], user_ids: tuple[str, ...], max_seconds: int | None
) -> None:
    body = {"id": "start", "type": "start_track_recording", "meeting_id": MEETING, **fields}
    start = start_context_of(
        decode_command(json.dumps(body).encode()), correlation_id=None, trace={}
    )
    assert (start.user_ids, start.max_seconds) == (user_ids, max_seconds)
