"""The demo's own check: what it would say if the files were not as promised."""

from datetime import UTC, datetime

import pytest

from recording_schemas import CloudEvent, Completed, Status
from sandbox.demo.assertions import find_deviations
from sandbox.demo.scenario import Participants, create_meeting
from sandbox.demo.tracks import Track
from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock
from sandbox.model.log_entries import FileEntry
from sandbox.model.meeting import Participant
from sandbox.model.meetings import Meetings


@pytest.fixture
def cast() -> Participants:
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
        url_expiry=None,
    )


def judge(cast: Participants, tracks: list[Track], *, completed: int = 3) -> list[str]:
    made = [
        FileEntry(at=0, recording_id="r", meeting_id="m", name=one.file_name, seconds=9.0)
        for one in tracks
    ]
    return find_deviations(cast, [completion(completed)], tracks, made)


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
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return CloudEvent(
        id="1", source="s", type="t", subject="r", time=now, dataschema="d", data=data
    )


def test_one_file_of_ana_and_two_of_ben_are_as_promised(cast: Participants) -> None:
    assert judge(cast, [track(cast.ana, 1), track(cast.ben, 2), track(cast.ben, 3)]) == []


def test_a_file_of_somebody_not_on_the_list_is_found(cast: Participants) -> None:
    (fault,) = judge(cast, [track(cast.ana, 1), track(cast.ben, 2), track(cast.cleo, 3)])
    assert "cleo" in fault


def test_a_lost_file_of_the_one_who_came_back_is_found(cast: Participants) -> None:
    wrong = judge(cast, [track(cast.ana, 1), track(cast.ben, 2)])
    assert any("two of ben" in fault for fault in wrong)
    assert any("completed" in fault for fault in wrong)


def test_a_file_that_is_shorter_than_what_was_recorded_is_found(cast: Participants) -> None:
    tracks = [track(cast.ana, 1), track(cast.ben, 2), track(cast.ben, 3, seconds=4.0)]
    (fault,) = judge(cast, tracks)
    assert "weekly_sync_q4_3.webm" in fault
