"""The life of a recording, on a clock that moves only by `advance`."""

from typing import NamedTuple

import pytest

from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.errors import Refusal
from recording_sandbox.model.faults import Fault, Faults
from recording_sandbox.model.meetings import Meetings, participant_ids
from recording_sandbox.model.recording import Recording, RecordingKind, StartRequest
from recording_sandbox.model.recordings import Recordings
from recording_sandbox.model.request_log import RequestLog

MEETING = "2f3c8c5e-6f0b-4a67-9a55-0f7f3f2b8f10"


class Model(NamedTuple):
    clock: Clock
    behaviour: Behaviour
    faults: Faults
    request_log: RequestLog
    meetings: Meetings
    recordings: Recordings

    def start(self, kind: RecordingKind = "track", **fields: object) -> Recording:
        request = {"kind": kind, "app_id": "app", "meeting_id": MEETING, **fields}
        return self.recordings.start(StartRequest(**request))  # type: ignore[arg-type]

    def started(self, kind: RecordingKind = "track", **fields: object) -> Recording:
        recording = self.start(kind, **fields)
        self.clock.advance(1)
        return recording

    def stopped(self, recording: Recording) -> Recording:
        self.recordings.stop(recording)
        self.clock.advance(1)
        return recording

    def statuses(self, recording: Recording) -> list[str]:
        return [
            transition.status
            for transition in self.request_log.transitions
            if transition.recording_id == recording.id
        ]


@pytest.fixture
def model() -> Model:
    clock, behaviour, faults, request_log = (
        Clock(speed=0, start=1e9),
        Behaviour(),
        Faults(),
        RequestLog(),
    )
    meetings = Meetings(clock, behaviour)
    recordings = Recordings(clock, meetings, behaviour, faults, request_log, seed=1)
    return Model(clock, behaviour, faults, request_log, meetings, recordings)


@pytest.mark.parametrize("kind", ["track", "composite"])
def test_a_recording_passes_its_statuses_in_order(model: Model, kind: RecordingKind) -> None:
    recording = model.stopped(model.started(kind))

    assert model.statuses(recording) == ["INVOKED", "RECORDING", "UPLOADING", "UPLOADED"]
    assert recording.stop_reason == "API_CALL"


def test_transitions_have_their_due_time_however_late_they_are_read(model: Model) -> None:
    recording = model.start()

    model.clock.advance(500)

    assert recording.started_at == recording.invoked_at + model.behaviour.invoked_seconds


def test_a_pause_is_not_in_the_recorded_time(model: Model) -> None:
    recording = model.started()
    model.clock.advance(10)
    model.recordings.pause(recording)
    model.clock.advance(100)
    model.recordings.resume(recording)
    model.clock.advance(5)
    model.stopped(recording)

    assert [file.seconds for file in recording.files] == [15, 15, 15]


def test_a_participant_who_rejoins_has_two_files_with_one_user_id(model: Model) -> None:
    recording = model.started()
    user = participant_ids(MEETING)[0]
    model.clock.advance(4)
    model.meetings.rejoin(MEETING, user)
    model.clock.advance(6)
    model.stopped(recording)

    files = [file for file in recording.files if file.user_id == user]
    assert [file.seconds for file in files] == [4, 6]
    assert len({file.peer_id for file in files}) == 2


def test_only_participants_in_user_ids_are_recorded_also_if_they_join_later(model: Model) -> None:
    model.meetings.create(MEETING, participants=["ann", "bob"], live=False)
    ann, bob = model.meetings.get(MEETING).participants
    model.meetings.join(MEETING, bob)
    recording = model.started(user_ids=(ann,))
    model.meetings.join(MEETING, ann)
    model.clock.advance(3)

    model.stopped(recording)

    assert [(file.custom_participant_id, file.seconds) for file in recording.files] == [("ann", 3)]


def test_with_custom_ids_as_user_ids_it_ends_uploaded_without_files(model: Model) -> None:
    recording = model.stopped(model.started(user_ids=("participant-1",)))

    assert (recording.status, recording.files) == ("UPLOADED", ())


def test_a_participant_who_left_before_the_start_has_no_file(model: Model) -> None:
    model.meetings.create(MEETING, participants=2)
    model.meetings.leave(MEETING, participant_ids(MEETING)[0])
    recording = model.started()
    model.clock.advance(2)

    model.stopped(recording)

    assert [file.user_id for file in recording.files] == [participant_ids(MEETING)[1]]


def test_a_file_name_has_prefix_user_peer_and_start_time(model: Model) -> None:
    recording = model.started(prefix="weekly_sync 1", user_ids=participant_ids(MEETING, 1))
    model.clock.advance(1)
    model.stopped(recording)

    (file,) = recording.files
    milliseconds = round((recording.started_at or 0) * 1000)
    tail = f"{file.user_id}_{file.peer_id}_peer_audio_{milliseconds}.webm"
    assert file.name == f"weekly_sync 1_{tail}"


@pytest.mark.parametrize("action", ["stop", "pause", "resume"])
def test_an_invoked_recording_is_not_in_progress(model: Model, action: str) -> None:
    recording = model.start()

    with pytest.raises(Refusal, match="not in progress") as refusal:
        getattr(model.recordings, action)(recording)

    assert refusal.value.status == 400


@pytest.mark.parametrize("status", [400, 404, 409])
def test_a_stop_after_the_end_is_refused_with_ended_status(model: Model, status: int) -> None:
    model.behaviour.change({"ended_status": status})
    recording = model.stopped(model.started())

    with pytest.raises(Refusal) as refusal:
        model.recordings.stop(recording)

    assert refusal.value.status == status


def test_a_second_composite_recording_is_a_conflict_unless_it_is_allowed(model: Model) -> None:
    model.started("composite")

    with pytest.raises(Refusal) as refusal:
        model.start("composite")
    allowed = model.start("composite", allow_multiple=True)

    assert refusal.value.status == 409
    assert allowed.status == "INVOKED"


def test_a_composite_recording_may_follow_once_the_first_has_stopped(model: Model) -> None:
    model.stopped(model.started("composite"))

    assert model.start("composite").status == "INVOKED"


@pytest.mark.parametrize("status", [400, 404])
def test_a_track_recording_needs_a_live_session(model: Model, status: int) -> None:
    model.behaviour.change({"no_session_status": status})
    model.meetings.create(MEETING, participants=2, live=False)

    with pytest.raises(Refusal, match="no active session") as refusal:
        model.start()

    assert refusal.value.status == status


def test_a_session_that_ends_stops_its_track_recording_at_once(model: Model) -> None:
    recording = model.started()

    model.meetings.end_session(MEETING)

    assert (recording.status, recording.stop_reason) == ("UPLOADING", "ALL_PEERS_LEFT")


def test_a_composite_recording_outlives_its_session_by_a_minute(model: Model) -> None:
    recording = model.started("composite")
    model.meetings.end_session(MEETING)
    model.clock.advance(59)
    meanwhile = recording.status

    model.clock.advance(1)

    assert (meanwhile, recording.status) == ("RECORDING", "UPLOADING")
    assert recording.stop_reason == "ALL_PEERS_LEFT"


def test_a_minute_without_participants_ends_the_session_and_its_recordings(model: Model) -> None:
    recording = model.started()
    for user in participant_ids(MEETING):
        model.meetings.leave(MEETING, user)
    model.clock.advance(59)
    meanwhile = recording.status

    model.clock.advance(1)

    assert (meanwhile, recording.status) == ("RECORDING", "UPLOADING")
    assert model.meetings.get(MEETING).session is None


def test_a_participant_who_comes_back_within_the_minute_keeps_the_session_live(
    model: Model,
) -> None:
    recording = model.started()
    for user in participant_ids(MEETING):
        model.meetings.leave(MEETING, user)
    model.clock.advance(30)
    model.meetings.join(MEETING, participant_ids(MEETING)[0])

    model.clock.advance(600)

    assert recording.status == "RECORDING"


def test_a_session_that_ends_while_invoked_stops_the_recording_at_its_start(model: Model) -> None:
    recording = model.start()
    model.meetings.end_session(MEETING)

    model.clock.advance(2)

    assert model.statuses(recording) == ["INVOKED", "RECORDING", "UPLOADING", "UPLOADED"]


def test_max_seconds_counts_recorded_time_only(model: Model) -> None:
    recording = model.started("composite", max_seconds=60)
    model.clock.advance(30)
    model.recordings.pause(recording)
    model.clock.advance(1000)
    model.recordings.resume(recording)
    model.clock.advance(29)
    meanwhile = recording.status

    model.clock.advance(1)

    assert (meanwhile, recording.status, recording.stop_reason) == ("RECORDING", "UPLOADING", None)


def test_a_maximum_that_passes_after_the_stop_changes_nothing(model: Model) -> None:
    recording = model.stopped(model.started("composite", max_seconds=60))

    model.clock.advance(100)

    assert (recording.status, recording.stop_reason) == ("UPLOADED", "API_CALL")


def test_short_recordings_can_be_made_to_fail(model: Model) -> None:
    model.behaviour.short_recordings_fail = True
    short, long = model.started(), model.started()
    model.clock.advance(3)
    model.stopped(short)
    model.clock.advance(3)
    model.stopped(long)

    assert (short.status, long.status) == ("ERRORED", "UPLOADED")
    assert short.files == ()


def test_a_stuck_recording_stays_invoked_and_cannot_be_stopped(model: Model) -> None:
    model.faults.add(Fault(kind="stuck_invoked", count=1))
    recording = model.start()
    model.clock.advance(1_000_000)

    with pytest.raises(Refusal, match="not in progress"):
        model.recordings.stop(recording)
    assert recording.status == "INVOKED"


@pytest.mark.parametrize("kind", ["fails_to_start", "fails_to_upload"])
def test_a_failing_recording_ends_errored_without_files(model: Model, kind: str) -> None:
    model.faults.add(Fault(kind=kind))  # type: ignore[arg-type]
    recording = model.started()
    if kind == "fails_to_upload":
        model.stopped(recording)

    assert (recording.status, recording.files) == ("ERRORED", ())
    assert recording.error


def test_a_vanished_recording_is_not_found(model: Model) -> None:
    model.faults.add(Fault(kind="vanish", seconds=30))
    recording = model.started()
    listed = model.recordings.index.of_app("app")

    model.clock.advance(30)

    assert (listed, model.recordings.index.of_app("app")) == ([0], [])
    with pytest.raises(Refusal) as refusal:
        model.recordings.index.get(recording.id)
    assert refusal.value.status == 404


def test_a_recording_without_storage_ends_errored(model: Model) -> None:
    recording = model.stopped(model.started("composite", bucket_enabled=False))

    assert recording.status == "ERRORED"


def test_a_forced_status_cancels_scheduled_changes(model: Model) -> None:
    recording = model.start()
    model.recordings.force(recording, "ERRORED")

    model.clock.advance(100)

    assert model.statuses(recording) == ["INVOKED", "ERRORED"]


def test_a_recording_can_be_shown_as_it_was_earlier(model: Model) -> None:
    recording = model.started()
    model.clock.advance(5)
    model.stopped(recording)

    past = recording.as_of(recording.invoked_at + 3)

    assert (past.status, past.stopped_at, past.files) == ("RECORDING", None, ())


def test_the_same_seed_gives_the_same_recording_ids(model: Model) -> None:
    other = Recordings(
        model.clock, model.meetings, model.behaviour, model.faults, model.request_log, seed=1
    )
    request = StartRequest(kind="track", app_id="app", meeting_id=MEETING)

    assert model.recordings.start(request).id == other.start(request).id


def test_unknown_meetings_are_refused_when_strict(model: Model) -> None:
    model.behaviour.strict = True

    with pytest.raises(Refusal) as refusal:
        model.start()

    assert refusal.value.status == 404
