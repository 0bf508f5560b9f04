"""Expected participants of a track recording who have no file."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from recording_schemas import ParticipantWithoutFile, Status
from worker.domain.attendance import MAX_PEOPLE, people_without_file
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.domain.track_files import TrackFile

NOW: Final = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
SNAPSHOT: Final = RecordingSnapshot(
    recording_id="r",
    status=Status.UPLOADED,
    started_time=NOW,
    stopped_time=NOW + timedelta(seconds=100),
)


def stay(
    peer_id: str,
    user_id: str | None = None,
    *,
    joined: float = 0,
    left: float | None = None,
    **more: Any,
) -> Participant:
    return Participant(
        peer_id=peer_id,
        user_id=user_id,
        joined_at=NOW + timedelta(seconds=joined),
        left_at=None if left is None else NOW + timedelta(seconds=left),
        **more,
    )


def file(user_id: str | None = None, peer_id: str | None = None, **more: Any) -> TrackFile:
    return TrackFile(file_name="f", media_kind="audio", user_id=user_id, peer_id=peer_id, **more)


def asking(*user_ids: str, **custom_ids: str) -> Recording:
    return Recording(
        recording_id="r",
        app="default",
        kind="track",
        status=Status.UPLOADING,
        start=StartContext(start_id="s", user_ids=user_ids, custom_ids=custom_ids),
    )


def without(
    files: list[TrackFile], stays: list[Participant], known: Recording | None = None
) -> list[tuple[str | None, str | None, bool]]:
    people = people_without_file(files, SNAPSHOT, known or asking(), stays)
    return [(person.user_id, person.custom_participant_id, person.joined) for person in people]


def test_without_a_list_everybody_who_was_there_while_it_was_recorded_is_expected() -> None:
    stays = [
        stay("p1", "speaker"),
        stay("p2", "mute", custom_participant_id="m@example.com"),
        stay("p3", "early", joined=-50, left=0),
        stay("p4", "late", joined=100),
        stay("p5", "leaver", joined=10, left=20),
    ]
    assert without([file("speaker", "p1")], stays) == [
        ("mute", "m@example.com", True),
        ("leaver", None, True),
    ]


def test_a_person_who_left_before_a_recording_was_invoked_is_not_expected_if_it_never_started() -> (
    None
):
    failed = RecordingSnapshot(recording_id="r", status=Status.ERRORED)
    known = msgspec.structs.replace(asking(), invoked_time=NOW)
    stays = [stay("p1", "early", joined=-50, left=0), stay("p2", "there", joined=-50, left=1)]
    people = people_without_file((), failed, known, stays)
    assert [person.user_id for person in people] == ["there"]


def test_only_the_people_asked_for_are_expected_in_their_order() -> None:
    stays = [stay("p1", "a", custom_participant_id="own-a"), stay("p2", "b"), stay("p3", "other")]
    known = asking("absent", "a", "b", absent="own-absent")
    assert without([file("b", "p2")], stays, known) == [
        ("absent", "own-absent", False),
        ("a", "own-a", True),
    ]


def test_somebody_who_left_before_the_recording_did_not_join() -> None:
    assert without([], [stay("p1", "a", joined=-9, left=-1)], asking("a")) == [("a", None, False)]


def test_several_stays_of_one_person_count_as_one_person() -> None:
    stays = [stay("p1", "a", left=10), stay("p2", "a", joined=20), stay("p3", "b", left=10)]
    stays += [stay("p4", "b", joined=20)]
    assert without([file("a", "p2")], stays) == [("b", None, True)]


def test_a_person_asked_for_twice_is_one_person() -> None:
    assert without([], [], asking("a", "a")) == [("a", None, False)]


def test_people_who_share_a_custom_id_are_different_people() -> None:
    stays = [
        stay("p1", "a", custom_participant_id="team"),
        stay("p2", "b", custom_participant_id="team"),
    ]
    known = asking("a", "b", a="team", b="team")
    assert without([file("a", "p1", custom_participant_id="team")], stays, known) == [
        ("b", "team", True)
    ]


def test_a_file_counts_by_any_of_its_certain_ids() -> None:
    stays = [stay("p1", "a"), stay("p2", "b"), stay("p3", "c", custom_participant_id="own-c")]
    files = [file(user_id="a"), file(peer_id="p2"), file(custom_participant_id="own-c")]
    assert without(files, stays) == []


def test_a_file_without_a_certain_owner_counts_for_nobody() -> None:
    assert without([file()], [stay("p1", "a")]) == [("a", None, True)]


def test_a_person_without_a_participant_id_is_known_by_the_own_id() -> None:
    stays = [stay("p1", custom_participant_id="x"), stay("p2", custom_participant_id="x")]
    assert without([], [*stays, stay("p3")]) == [(None, "x", True)]


def test_unknown_times_count_as_overlap() -> None:
    (only,) = people_without_file(
        [],
        RecordingSnapshot(recording_id="r", status=Status.UPLOADED),
        None,
        [Participant(peer_id="p", user_id="a")],
    )
    assert only == ParticipantWithoutFile(user_id="a", custom_participant_id=None, joined=True)


def test_an_event_names_a_bounded_number_of_people() -> None:
    stays = [stay(f"p{number}", f"u{number}") for number in range(MAX_PEOPLE + 5)]
    assert len(without([], stays)) == MAX_PEOPLE
