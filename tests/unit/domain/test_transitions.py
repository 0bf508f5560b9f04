"""What one observation changes, and the events it produces."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from recording_schemas import Completed, ErrorInfo, FileReady, Kind, Status, StatusChanged
from worker.domain.recording import Completeness, Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot, Storage
from worker.domain.track_files import TrackFile
from worker.domain.transitions import apply_observation

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
START = StartContext(start_id="start-1", user_ids=("ada",))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def observed(
    status: Status,
    *,
    second: float = 0,
    asked_at: float | None = None,
    files: tuple[TrackFile, ...] | None = None,
    completeness: Completeness = "whole",
    final: bool = False,
    timeout_error: ErrorInfo | None = None,
    storage: Storage | None = None,
    error_message: str | None = None,
    unknown: str | None = None,
) -> Observation:
    return Observation(
        snapshot=RecordingSnapshot(
            recording_id="r1",
            status=status,
            kind="track",
            meeting_id="m1",
            storage=storage,
            error_message=error_message,
            unknown_status=unknown,
        ),
        observed_by="sweep",
        asked_at=at(second if asked_at is None else asked_at),
        observed_at=at(second),
        start=START,
        files=files,
        completeness=completeness,
        files_final=final,
        timeout_error=timeout_error,
    )


def file(name: str, url: str | None = "https://files.test/x") -> TrackFile:
    return TrackFile(file_name=name, media_kind="audio", download_url=url)


def after(*observations: Observation) -> Recording:
    recording: Recording | None = None
    for observation in observations:
        recording = apply_observation(recording, observation).after
    assert recording is not None
    return recording


def statuses(*observations: Observation) -> list[Status]:
    recording, statuses = None, []
    for observation in observations:
        transition = apply_observation(recording, observation)
        recording = transition.after
        statuses += [
            event.status for event in transition.events if isinstance(event, StatusChanged)
        ]
    return statuses


def test_the_first_observation_is_a_change_without_a_previous_status() -> None:
    event = apply_observation(None, observed(Status.INVOKED)).events[0]
    assert isinstance(event, StatusChanged)
    assert (event.previous_status, event.status, event.start_id) == (
        None,
        Status.INVOKED,
        "start-1",
    )


def test_an_observation_of_the_same_status_changes_nothing() -> None:
    known = after(observed(Status.RECORDING))
    transition = apply_observation(known, observed(Status.RECORDING, second=5))
    assert transition.after == known
    assert transition.events == ()


def test_a_status_never_goes_backwards() -> None:
    observations = [
        observed(Status.UPLOADING),
        observed(Status.RECORDING, second=1),
        observed(Status.INVOKED),
    ]
    assert statuses(*observations) == [Status.UPLOADING]


@pytest.mark.parametrize("end", [Status.UPLOADED, Status.ERRORED])
@pytest.mark.parametrize("later", list(Status))
def test_nothing_follows_an_end(end: Status, later: Status) -> None:
    assert statuses(observed(end), observed(later, second=5)) == [end]


def test_pause_resume_pause_are_three_changes() -> None:
    observations = [
        observed(Status.RECORDING),
        observed(Status.PAUSED, second=1),
        observed(Status.RECORDING, second=2),
        observed(Status.PAUSED, second=3),
    ]
    assert statuses(*observations) == [
        Status.RECORDING,
        Status.PAUSED,
        Status.RECORDING,
        Status.PAUSED,
    ]


def test_an_answer_to_a_request_before_the_pause_does_not_undo_it() -> None:
    observations = [
        observed(Status.RECORDING),
        observed(Status.PAUSED, second=2),
        observed(Status.RECORDING, second=3, asked_at=1),
    ]
    assert statuses(*observations) == [Status.RECORDING, Status.PAUSED]


def test_an_outdated_observation_does_not_restore_old_details() -> None:
    known = after(observed(Status.UPLOADING, second=3))
    assert apply_observation(known, observed(Status.RECORDING, second=4)).after == known


def test_the_events_are_the_change_then_the_files_then_the_completion() -> None:
    known = after(observed(Status.UPLOADING))
    events = apply_observation(
        known, observed(Status.UPLOADED, files=(file("a"), file("b")))
    ).events
    assert [type(event) for event in events] == [StatusChanged, FileReady, FileReady, Completed]
    assert [
        (event.file_index, event.file_count) for event in events if isinstance(event, FileReady)
    ] == [
        (1, 2),
        (2, 2),
    ]
    assert isinstance(events[-1], Completed)
    assert events[-1].files == ("a", "b")


def test_an_upload_without_files_waits_and_then_completes_without_files() -> None:
    waiting = after(observed(Status.UPLOADED, files=()))
    assert waiting.files_awaited_since == at(0)
    events = apply_observation(
        waiting, observed(Status.UPLOADED, second=120, files=(), final=True)
    ).events
    assert [type(event) for event in events] == [Completed]
    assert isinstance(events[0], Completed)
    assert events[0].file_count == 0


def test_an_upload_does_not_complete_before_its_files_were_looked_for() -> None:
    assert not after(observed(Status.UPLOADED)).completed


def test_a_file_after_the_completion_is_announced_with_another_completion() -> None:
    done = after(observed(Status.UPLOADED, files=(file("a"),)))
    events = apply_observation(
        done, observed(Status.UPLOADED, files=(file("a"), file("b"))), ["a"]
    ).events
    assert [type(event) for event in events] == [FileReady, Completed]
    assert isinstance(events[0], FileReady)
    assert (events[0].file_name, events[0].file_index, events[0].file_count) == ("b", 2, 2)
    assert isinstance(events[1], Completed)
    assert events[1].files == ("a", "b")


def test_the_same_files_after_the_completion_change_nothing() -> None:
    done = after(observed(Status.UPLOADED, files=(file("a"),)))
    again = apply_observation(done, observed(Status.UPLOADED, second=9, files=(file("a"),)), ["a"])
    assert (again.after, again.events) == (done, ())


@pytest.mark.parametrize("silent", [None, ()])
def test_an_observation_without_files_leaves_a_completed_recording_as_it_is(
    silent: tuple[TrackFile, ...] | None,
) -> None:
    completed = after(observed(Status.UPLOADED, files=(file("a"),)))
    transition = apply_observation(completed, observed(Status.UPLOADED, files=silent), ["a"])
    assert (transition.after.completed, transition.events) == (True, ())


def test_an_answer_to_a_request_of_the_moment_of_the_last_change_counts() -> None:
    assert statuses(
        observed(Status.RECORDING),
        observed(Status.PAUSED, second=2),
        observed(Status.RECORDING, second=3, asked_at=2),
    ) == [Status.RECORDING, Status.PAUSED, Status.RECORDING]


def test_an_upload_does_not_complete_with_files_that_may_not_be_all() -> None:
    transition = apply_observation(
        None, observed(Status.UPLOADED, files=(file("a"),), completeness="lacking")
    )
    assert [type(event) for event in transition.events] == [StatusChanged, FileReady]
    assert transition.after.files_awaited_since == at(0)


def test_a_file_without_a_url_is_not_announced_yet() -> None:
    listed = observed(Status.UPLOADED, files=(file("a", None), file("b")), completeness="lacking")
    names = [
        event.file_name
        for event in apply_observation(None, listed).events
        if isinstance(event, FileReady)
    ]
    assert names == ["b"]


def test_a_file_without_a_url_is_not_announced_when_the_wait_is_over_either() -> None:
    waiting = after(observed(Status.UPLOADED, files=(file("a", None),), completeness="lacking"))
    events = apply_observation(
        waiting,
        observed(
            Status.UPLOADED,
            second=120,
            files=(file("a", None),),
            completeness="lacking",
            final=True,
        ),
    ).events
    assert [type(event) for event in events] == [Completed]


def test_the_search_of_a_completed_recording_knows_when_it_ended() -> None:
    partial = observed(Status.UPLOADED, files=(file("a"),), completeness="lacking")
    done = apply_observation(
        after(partial), msgspec.structs.replace(partial, files_final=True, observed_at=at(9)), ["a"]
    ).after
    assert done.file_search is not None
    assert (done.file_search.listed_since, done.file_search.ended_at) == (at(0), at(9))


def test_the_search_of_a_recording_with_all_its_files_is_over() -> None:
    partial = observed(Status.UPLOADED, files=(file("a"),), completeness="lacking")
    whole = observed(Status.UPLOADED, second=2, files=(file("a"), file("b")))
    done = apply_observation(after(partial), whole, ["a"]).after
    assert (done.file_search, done.file_count, done.completed) == (None, 2, True)


def test_the_error_of_an_errored_recording_is_the_api_s_message() -> None:
    (event,) = apply_observation(
        None, observed(Status.ERRORED, error_message="disk on fire")
    ).events
    assert isinstance(event, StatusChanged)
    assert event.error == ErrorInfo(code="recording_errored", message="disk on fire")


def test_a_failed_track_recording_is_complete_when_its_participants_were_read() -> None:
    failed = apply_observation(None, observed(Status.ERRORED)).after
    (event,) = apply_observation(failed, observed(Status.ERRORED, second=1, files=())).events
    assert isinstance(event, Completed)


def test_a_failed_composite_is_complete_at_once() -> None:
    observation = observed(Status.ERRORED)
    snapshot = msgspec.structs.replace(observation.snapshot, kind="composite")
    composite = msgspec.structs.replace(observation, snapshot=snapshot)
    assert isinstance(apply_observation(None, composite).events[-1], Completed)


def test_the_api_s_report_and_the_files_follow_a_timeout() -> None:
    stalled = ErrorInfo(code="stalled", message="too long")
    known = after(
        observed(Status.INVOKED), observed(Status.ERRORED, second=9, timeout_error=stalled)
    )
    truth = apply_observation(known, observed(Status.UPLOADED, second=20))
    assert [event.status for event in truth.events if isinstance(event, StatusChanged)] == [
        Status.UPLOADED
    ]
    assert truth.after.error is None
    found = apply_observation(truth.after, observed(Status.UPLOADED, second=21, files=(file("a"),)))
    assert [type(event) for event in found.events] == [FileReady, Completed]
    assert found.after.files_awaited_since is None


def test_a_timeout_does_not_overrule_an_end_that_the_api_reported() -> None:
    vanished = ErrorInfo(code="vanished", message="gone")
    known = after(observed(Status.UPLOADED))
    transition = apply_observation(known, observed(Status.ERRORED, timeout_error=vanished))
    assert transition.after.status is Status.UPLOADED


def test_version_counts_changes_and_sequence_counts_events() -> None:
    known = after(observed(Status.INVOKED), observed(Status.RECORDING), observed(Status.RECORDING))
    assert (known.version, known.sequence) == (2, 2)
    ended = apply_observation(known, observed(Status.UPLOADED, files=(file("a"),))).after
    assert (ended.version, ended.sequence) == (3, 5)


def test_the_event_of_a_file_in_the_customer_s_storage_names_its_place() -> None:
    storage = Storage(type="aws", bucket="b", path="p")
    uploaded = observed(Status.UPLOADED, files=(file("a", None),), storage=storage)
    snapshot = msgspec.structs.replace(uploaded.snapshot, kind="composite")
    events = apply_observation(None, msgspec.structs.replace(uploaded, snapshot=snapshot)).events
    ready = next(event for event in events if isinstance(event, FileReady))
    assert ready.storage is not None
    assert (ready.storage.bucket, ready.download_url) == ("b", None)
    (fetched,) = [
        event
        for event in apply_observation(
            None, observed(Status.UPLOADED, files=(file("a"),), storage=storage)
        ).events
        if isinstance(event, FileReady)
    ]
    assert fetched.storage is None


def test_files_that_are_listed_before_the_upload_do_not_complete_a_recording() -> None:
    uploading = after(observed(Status.UPLOADING, files=(file("a"),)))
    assert not uploading.completed
    assert uploading.is_open


def test_a_recording_is_missing_from_the_first_404_until_the_next_answer() -> None:
    denied = [
        msgspec.structs.replace(observed(Status.RECORDING, second=second), missing=True)
        for second in (10, 20)
    ]
    known = after(observed(Status.RECORDING), *denied)
    assert (known.missing_since, known.status) == (at(10), Status.RECORDING)
    assert after(observed(Status.RECORDING), *denied, observed(Status.RECORDING, second=30)) == (
        msgspec.structs.replace(known, missing_since=None, version=3)
    )


def test_a_missing_recording_keeps_its_newest_status() -> None:
    denied = msgspec.structs.replace(observed(Status.RECORDING, second=20), missing=True)
    assert statuses(observed(Status.RECORDING), observed(Status.PAUSED, second=10), denied) == [
        Status.RECORDING,
        Status.PAUSED,
    ]


@pytest.mark.parametrize("still", [Status.INVOKED, Status.RECORDING, Status.PAUSED])
def test_the_status_in_which_a_recording_stalled_changes_nothing(still: Status) -> None:
    stalled = observed(
        Status.ERRORED, second=90, timeout_error=ErrorInfo(code="stalled", message="x")
    )
    assert statuses(observed(Status.RECORDING), stalled, observed(still, second=100)) == [
        Status.RECORDING,
        Status.ERRORED,
    ]


@pytest.mark.parametrize("status", [Status.UPLOADING, Status.UPLOADED])
def test_a_recording_that_moved_on_after_it_stalled_is_tracked_again(status: Status) -> None:
    stalled = observed(
        Status.ERRORED, second=90, timeout_error=ErrorInfo(code="stalled", message="x")
    )
    assert statuses(observed(Status.RECORDING), stalled, observed(status, second=100))[2:] == [
        status
    ]


def test_a_timeout_that_was_decided_before_the_last_change_is_ignored() -> None:
    error = ErrorInfo(code="stalled", message="x")
    stalled = observed(Status.ERRORED, second=90, asked_at=80, timeout_error=error)
    known = [observed(Status.INVOKED), observed(Status.RECORDING, second=85), stalled]
    assert statuses(*known) == [Status.INVOKED, Status.RECORDING]


def test_after_a_timeout_the_files_are_completed_when_no_more_are_awaited() -> None:
    stalled = ErrorInfo(code="stalled", message="too long")
    partial = observed(Status.UPLOADED, second=20, files=(file("a"),), completeness="lacking")
    known = after(
        observed(Status.INVOKED), observed(Status.ERRORED, second=9, timeout_error=stalled)
    )
    found = apply_observation(known, partial)
    assert [type(event) for event in found.events] == [StatusChanged, FileReady]
    last = msgspec.structs.replace(partial, files_final=True)
    assert [type(event) for event in apply_observation(found.after, last, ["a"]).events] == [
        Completed
    ]


@pytest.mark.parametrize(
    ("kind", "start", "is_shown"),
    [
        ("track", StartContext(start_id="s"), True),
        ("track", None, True),
        ("composite", StartContext(start_id="s", has_secrets=False), True),
        ("composite", StartContext(start_id="s", has_secrets=True), False),
        ("composite", StartContext(start_id="of a former version"), False),
        ("composite", None, False),  # a foreign recording's, perhaps with credentials
    ],
)
def test_the_words_of_the_api_are_withheld_when_they_may_repeat_unknown_credentials(
    kind: Kind, start: StartContext | None, is_shown: bool
) -> None:
    observation = Observation(
        snapshot=RecordingSnapshot(
            recording_id="r", status=Status.ERRORED, kind=kind, error_message="hunter2 is refused"
        ),
        observed_by="sweep",
        asked_at=T0,
        observed_at=T0,
        start=start,
    )
    result = apply_observation(None, observation)
    assert ("hunter2" in repr(result)) is is_shown


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("code", [None, "stalled", "vanished"])
def test_an_unknown_status_moves_no_recording_and_reopens_none(
    status: Status, code: str | None
) -> None:
    observations = [observed(status)]
    if code is not None:
        error = ErrorInfo(code=code, message="timed out")
        observations.append(observed(Status.ERRORED, second=5, timeout_error=error))
    before = after(*observations)
    transition = apply_observation(before, observed(Status.INVOKED, second=9, unknown="X"))
    assert (transition.after.status, transition.events) == (before.status, ())
    assert transition.after.is_open == before.is_open


def test_an_unknown_status_is_kept_until_a_known_one_comes() -> None:
    unknown = observed(Status.INVOKED, second=1, unknown="X")
    assert after(observed(Status.RECORDING), unknown).unknown_status == "X"
    known = observed(Status.RECORDING, second=2)
    assert after(observed(Status.RECORDING), unknown, known).unknown_status is None
