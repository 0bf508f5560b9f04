"""The life of a recording, on a clock that stands still until it is told to move."""

from typing import NamedTuple

import pytest

from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock
from sandbox.model.errors import Refusal
from sandbox.model.faults import Fault, Faults
from sandbox.model.meetings import Meetings, participant_ids
from sandbox.model.recording import Recording, RecordingKind, StartRequest
from sandbox.model.recordings import Recordings
from sandbox.model.request_log import RequestLog

MEETING = "2f3c8c5e-6f0b-4a67-9a55-0f7f3f2b8f10"


class Stage(NamedTuple):
    clock: Clock
    behaviour: Behaviour
    faults: Faults
    request_log: RequestLog
    meetings: Meetings
    recordings: Recordings

    def start(self, kind: RecordingKind = "track", **members: object) -> Recording:
        request = {"kind": kind, "app_id": "app", "meeting_id": MEETING, **members}
        return self.recordings.start(StartRequest(**request))  # type: ignore[arg-type]

    def started(self, kind: RecordingKind = "track", **members: object) -> Recording:
        recording = self.start(kind, **members)
        self.clock.advance(1)
        return recording

    def stopped(self, recording: Recording) -> Recording:
        self.recordings.stop(recording)
        self.clock.advance(1)
        return recording

    def statuses(self, recording: Recording) -> list[str]:
        return [t.status for t in self.request_log.transitions if t.recording_id == recording.id]


@pytest.fixture
def stage() -> Stage:
    clock, behaviour, faults, request_log = (
        Clock(speed=0, start=1e9),
        Behaviour(),
        Faults(),
        RequestLog(),
    )
    meetings = Meetings(clock, behaviour)
    recordings = Recordings(clock, meetings, behaviour, faults, request_log, seed=1)
    return Stage(clock, behaviour, faults, request_log, meetings, recordings)


@pytest.mark.parametrize("kind", ["track", "composite"])
def test_a_recording_goes_through_its_life_in_order(stage: Stage, kind: RecordingKind) -> None:
    recording = stage.stopped(stage.started(kind))

    assert stage.statuses(recording) == ["INVOKED", "RECORDING", "UPLOADING", "UPLOADED"]
    assert recording.stop_reason == "API_CALL"


def test_transitions_carry_their_own_moment_however_late_they_are_looked_at(stage: Stage) -> None:
    recording = stage.start()

    stage.clock.advance(500)

    assert recording.started_at == recording.invoked_at + stage.behaviour.invoked_seconds


def test_a_pause_does_not_count(stage: Stage) -> None:
    recording = stage.started()
    stage.clock.advance(10)
    stage.recordings.pause(recording)
    stage.clock.advance(100)
    stage.recordings.resume(recording)
    stage.clock.advance(5)
    stage.stopped(recording)

    assert [file.seconds for file in recording.files] == [15, 15, 15]


def test_who_rejoins_leaves_two_files_with_one_user_id(stage: Stage) -> None:
    recording = stage.started()
    user = participant_ids(MEETING)[0]
    stage.clock.advance(4)
    stage.meetings.rejoin(MEETING, user)
    stage.clock.advance(6)
    stage.stopped(recording)

    mine = [file for file in recording.files if file.user_id == user]
    assert [file.seconds for file in mine] == [4, 6]
    assert len({file.peer_id for file in mine}) == 2


def test_only_those_on_the_list_are_recorded_also_when_they_come_later(stage: Stage) -> None:
    stage.meetings.create(MEETING, participants=["ann", "bob"], live=False)
    ann, bob = stage.meetings.get(MEETING).participants
    stage.meetings.join(MEETING, bob)
    recording = stage.started(user_ids=(ann,))
    stage.meetings.join(MEETING, ann)
    stage.clock.advance(3)

    stage.stopped(recording)

    assert [(file.custom_participant_id, file.seconds) for file in recording.files] == [("ann", 3)]


def test_a_list_of_custom_ids_ends_well_with_no_file_at_all(stage: Stage) -> None:
    recording = stage.stopped(stage.started(user_ids=("participant-1",)))

    assert (recording.status, recording.files) == ("UPLOADED", ())


def test_who_left_before_it_began_is_in_no_file(stage: Stage) -> None:
    stage.meetings.create(MEETING, participants=2)
    stage.meetings.leave(MEETING, participant_ids(MEETING)[0])
    recording = stage.started()
    stage.clock.advance(2)

    stage.stopped(recording)

    assert [file.user_id for file in recording.files] == [participant_ids(MEETING)[1]]


def test_a_file_is_named_after_prefix_user_peer_and_the_moment_it_begins(stage: Stage) -> None:
    recording = stage.started(prefix="weekly_sync 1", user_ids=participant_ids(MEETING, 1))
    stage.clock.advance(1)
    stage.stopped(recording)

    (file,) = recording.files
    milliseconds = round((recording.started_at or 0) * 1000)
    tail = f"{file.user_id}_{file.peer_id}_peer_audio_{milliseconds}.webm"
    assert file.name == f"weekly_sync 1_{tail}"


@pytest.mark.parametrize("action", ["stop", "pause", "resume"])
def test_an_invoked_recording_is_not_in_progress(stage: Stage, action: str) -> None:
    recording = stage.start()

    with pytest.raises(Refusal, match="not in progress") as refusal:
        getattr(stage.recordings, action)(recording)

    assert refusal.value.status == 400


@pytest.mark.parametrize("status", [400, 404, 409])
def test_stopping_what_has_ended_is_refused_as_the_switch_says(stage: Stage, status: int) -> None:
    stage.behaviour.change({"ended_status": status})
    recording = stage.stopped(stage.started())

    with pytest.raises(Refusal) as refusal:
        stage.recordings.stop(recording)

    assert refusal.value.status == status


def test_a_second_composite_recording_is_a_conflict_unless_it_is_allowed(stage: Stage) -> None:
    stage.started("composite")

    with pytest.raises(Refusal) as refusal:
        stage.start("composite")
    allowed = stage.start("composite", allow_multiple=True)

    assert refusal.value.status == 409
    assert allowed.status == "INVOKED"


def test_a_composite_recording_may_follow_once_the_first_has_stopped(stage: Stage) -> None:
    stage.stopped(stage.started("composite"))

    assert stage.start("composite").status == "INVOKED"


@pytest.mark.parametrize("status", [400, 404])
def test_a_track_recording_needs_a_live_session(stage: Stage, status: int) -> None:
    stage.behaviour.change({"no_session_status": status})
    stage.meetings.create(MEETING, participants=2, live=False)

    with pytest.raises(Refusal, match="no active session") as refusal:
        stage.start()

    assert refusal.value.status == status


def test_a_session_that_ends_stops_its_track_recording_at_once(stage: Stage) -> None:
    recording = stage.started()

    stage.meetings.end_session(MEETING)

    assert (recording.status, recording.stop_reason) == ("UPLOADING", "ALL_PEERS_LEFT")


def test_a_composite_recording_outlives_its_session_by_a_minute(stage: Stage) -> None:
    recording = stage.started("composite")
    stage.meetings.end_session(MEETING)
    stage.clock.advance(59)
    meanwhile = recording.status

    stage.clock.advance(1)

    assert (meanwhile, recording.status) == ("RECORDING", "UPLOADING")
    assert recording.stop_reason == "ALL_PEERS_LEFT"


def test_sixty_seconds_without_participants_end_session_and_recordings(stage: Stage) -> None:
    recording = stage.started()
    for user in participant_ids(MEETING):
        stage.meetings.leave(MEETING, user)
    stage.clock.advance(59)
    meanwhile = recording.status

    stage.clock.advance(1)

    assert (meanwhile, recording.status) == ("RECORDING", "UPLOADING")
    assert stage.meetings.get(MEETING).session is None


def test_who_comes_back_within_the_minute_keeps_the_session_alive(stage: Stage) -> None:
    recording = stage.started()
    for user in participant_ids(MEETING):
        stage.meetings.leave(MEETING, user)
    stage.clock.advance(30)
    stage.meetings.join(MEETING, participant_ids(MEETING)[0])

    stage.clock.advance(600)

    assert recording.status == "RECORDING"


def test_a_session_that_ends_while_invoked_stops_the_recording_when_it_begins(stage: Stage) -> None:
    recording = stage.start()
    stage.meetings.end_session(MEETING)

    stage.clock.advance(2)

    assert stage.statuses(recording) == ["INVOKED", "RECORDING", "UPLOADING", "UPLOADED"]


def test_max_seconds_counts_recorded_time_only(stage: Stage) -> None:
    recording = stage.started("composite", max_seconds=60)
    stage.clock.advance(30)
    stage.recordings.pause(recording)
    stage.clock.advance(1000)
    stage.recordings.resume(recording)
    stage.clock.advance(29)
    meanwhile = recording.status

    stage.clock.advance(1)

    assert (meanwhile, recording.status, recording.stop_reason) == ("RECORDING", "UPLOADING", None)


def test_a_maximum_that_passes_after_the_stop_changes_nothing(stage: Stage) -> None:
    recording = stage.stopped(stage.started("composite", max_seconds=60))

    stage.clock.advance(100)

    assert (recording.status, recording.stop_reason) == ("UPLOADED", "API_CALL")


def test_short_recordings_fail_when_that_is_switched_on(stage: Stage) -> None:
    stage.behaviour.short_recordings_fail = True
    short, long = stage.started(), stage.started()
    stage.clock.advance(3)
    stage.stopped(short)
    stage.clock.advance(3)
    stage.stopped(long)

    assert (short.status, long.status) == ("ERRORED", "UPLOADED")
    assert short.files == ()


def test_a_stuck_recording_stays_invoked_for_ever_and_cannot_be_stopped(stage: Stage) -> None:
    stage.faults.add(Fault(kind="stuck_invoked", count=1))
    recording = stage.start()
    stage.clock.advance(1_000_000)

    with pytest.raises(Refusal, match="not in progress"):
        stage.recordings.stop(recording)
    assert recording.status == "INVOKED"


@pytest.mark.parametrize("kind", ["fails_to_start", "fails_to_upload"])
def test_a_recording_that_fails_ends_errored_with_no_file(stage: Stage, kind: str) -> None:
    stage.faults.add(Fault(kind=kind))  # type: ignore[arg-type]
    recording = stage.started()
    if kind == "fails_to_upload":
        stage.stopped(recording)

    assert (recording.status, recording.files) == ("ERRORED", ())
    assert recording.error


def test_a_vanished_recording_cannot_be_found_any_more(stage: Stage) -> None:
    stage.faults.add(Fault(kind="vanish", seconds=30))
    recording = stage.started()
    listed = stage.recordings.index.of_app("app")

    stage.clock.advance(30)

    assert (listed, stage.recordings.index.of_app("app")) == ([0], [])
    with pytest.raises(Refusal) as refusal:
        stage.recordings.index.get(recording.id)
    assert refusal.value.status == 404


def test_a_recording_without_any_storage_is_lost(stage: Stage) -> None:
    recording = stage.stopped(stage.started("composite", bucket_enabled=False))

    assert recording.status == "ERRORED"


def test_a_forced_status_is_not_undone_by_what_was_to_happen(stage: Stage) -> None:
    recording = stage.start()
    stage.recordings.force(recording, "ERRORED")

    stage.clock.advance(100)

    assert stage.statuses(recording) == ["INVOKED", "ERRORED"]


def test_the_past_can_be_looked_at(stage: Stage) -> None:
    recording = stage.started()
    stage.clock.advance(5)
    stage.stopped(recording)

    past = recording.as_of(recording.invoked_at + 3)

    assert (past.status, past.stopped_at, past.files) == ("RECORDING", None, ())


def test_the_same_seed_gives_the_same_recording_ids(stage: Stage) -> None:
    other = Recordings(
        stage.clock, stage.meetings, stage.behaviour, stage.faults, stage.request_log, seed=1
    )
    request = StartRequest(kind="track", app_id="app", meeting_id=MEETING)

    assert stage.recordings.start(request).id == other.start(request).id


def test_unknown_meetings_are_refused_when_strict(stage: Stage) -> None:
    stage.behaviour.strict = True

    with pytest.raises(Refusal) as refusal:
        stage.start()

    assert refusal.value.status == 404
