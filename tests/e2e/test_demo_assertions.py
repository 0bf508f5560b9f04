"""The deviations that the demo reports if files are not as promised."""

from datetime import UTC, datetime

import pytest

from recording_sandbox.demo.assertions import find_deviations
from recording_sandbox.demo.scenario import Participants, create_meeting
from recording_sandbox.demo.tracks import Track
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.log_entries import FileEntry
from recording_sandbox.model.meeting import Participant
from recording_sandbox.model.meetings import Meetings
from recording_schemas import CloudEvent, Completed, Status


@pytest.fixture
def participants() -> Participants:
    return create_meeting(Meetings(Clock(speed=0), Behaviour()))


def track(person: Participant, number: int, *, seconds: float = 9.0) -> Track:
    return Track(
        custom_participant_id=person.custom_participant_id,
        user_id=person.id,
        stay=1,
        stays=1,
        file_name=f"weekly_sync_q4_{number}.webm",
        seconds=seconds,
        size_bytes=100,
        sha256="0" * 64,
        url_expiry=None,
    )


def deviations_of(participants: Participants, tracks: list[Track]) -> list[str]:
    recorded = [
        FileEntry(at=0, recording_id="r", meeting_id="m", name=track.file_name, seconds=9.0)
        for track in tracks
    ]
    return find_deviations(participants, [completion(3)], tracks, recorded)


def completion(file_count: int) -> CloudEvent:
    data = Completed(
        recording_id="r",
        meeting_id="m",
        kind="track",
        status=Status.UPLOADED,
        file_count=file_count,
        files=(),
        recording_duration=9,
        start_id=None,
        participants_without_file=None,
        metadata=None,
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return CloudEvent(
        id="1", source="s", type="t", subject="r", time=now, dataschema="d", data=data
    )


def test_one_file_of_ana_and_two_of_ben_are_no_deviation(participants: Participants) -> None:
    assert (
        deviations_of(
            participants,
            [track(participants.ana, 1), track(participants.ben, 2), track(participants.ben, 3)],
        )
        == []
    )


def test_a_file_of_a_participant_not_in_user_ids_is_reported(participants: Participants) -> None:
    (deviation,) = deviations_of(
        participants,
        [track(participants.ana, 1), track(participants.ben, 2), track(participants.cleo, 3)],
    )
    assert "cleo" in deviation


def test_a_missing_file_of_the_participant_who_came_back_is_reported(
    participants: Participants,
) -> None:
    deviations = deviations_of(
        participants, [track(participants.ana, 1), track(participants.ben, 2)]
    )
    assert any("two of ben" in deviation for deviation in deviations)
    assert any("completed" in deviation for deviation in deviations)


def test_a_file_shorter_than_its_recorded_time_is_reported(participants: Participants) -> None:
    tracks = [
        track(participants.ana, 1),
        track(participants.ben, 2),
        track(participants.ben, 3, seconds=4.0),
    ]
    (deviation,) = deviations_of(participants, tracks)
    assert "weekly_sync_q4_3.webm" in deviation
