"""Which files of a list row or of a webhook are taken over without a read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from recording_schemas import Status
from worker.domain.listed_files import with_listed_files
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import FoundFile, RecordingSnapshot

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
VIDEO = FoundFile(name="call.mp4", media="video", download_url="https://files/call.mp4")
AUDIO = FoundFile(name="call.mp3", media="audio", download_url="https://files/call.mp3")


def recording(**fields: Any) -> Recording:
    known: dict[str, Any] = {
        "recording_id": "r1",
        "app": "default",
        "kind": "composite",
        "status": Status.UPLOADING,
    }
    return Recording(**(known | fields))


def observation(**fields: Any) -> Observation:
    row: dict[str, Any] = {
        "recording_id": "r1",
        "status": Status.UPLOADED,
        "output_file_name": "call.mp4",
        "files": (VIDEO, AUDIO),
    }
    return Observation(
        snapshot=RecordingSnapshot(**(row | fields)),
        observed_by="webhook",
        asked_at=NOW,
        observed_at=NOW,
    )


def test_video_and_audio_of_a_composite_are_whole() -> None:
    completed = with_listed_files(recording(), observation())
    assert [file.file_name for file in completed.files or ()] == ["call.mp4", "call.mp3"]
    assert completed.completeness == "whole"


@pytest.mark.parametrize(
    ("media", "completeness"), [(("video",), "whole"), (("video", "audio"), "lacking")]
)
def test_the_start_decides_which_files_make_a_composite_complete(
    media: Any, completeness: str
) -> None:
    known = recording(start=StartContext(start_id="s1", media=media))
    assert with_listed_files(known, observation(files=(VIDEO,))).completeness == completeness


@pytest.mark.parametrize(
    "known",
    [
        recording(kind="track"),
        recording(kind_is_guessed=True),
        recording(output_file_name="another.mp4"),
        None,
    ],
    ids=["a track", "a guessed kind", "another name", "nothing known"],
)
def test_files_that_may_be_others_are_left_to_a_read(known: Recording | None) -> None:
    assert with_listed_files(known, observation()).files is None


@pytest.mark.parametrize(
    "row",
    [
        {"status": Status.UPLOADING},
        {"files": ()},
        {"output_file_name": None},
        {"output_file_name": "{{user_id}}_{{peer_id}}.webm"},
        {"kind": "track"},
    ],
    ids=["not uploaded", "no files", "no name", "a template", "a track"],
)
def test_a_row_that_shows_less_than_a_read_is_left_to_a_read(row: dict[str, Any]) -> None:
    assert with_listed_files(recording(), observation(**row)).files is None
