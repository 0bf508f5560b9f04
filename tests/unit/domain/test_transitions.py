"""What of a new sight is news."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from recording_schemas import Completed, ErrorInfo, FileReady, Status, StatusChanged
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot, Storage
from worker.domain.track_files import TrackFile
from worker.domain.transitions import apply_observation

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
ORIGIN = StartContext(start_id="start-1", user_ids=("ada",))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def seen(
    status: Status,
    *,
    second: float = 0,
    asked: float | None = None,
    files: tuple[TrackFile, ...] | None = None,
    final: bool = False,
    timeout_error: ErrorInfo | None = None,
    storage: Storage | None = None,
    error_message: str | None = None,
) -> Observation:
    return Observation(
        snapshot=RecordingSnapshot(
            recording_id="r1",
            status=status,
            kind="track",
            meeting_id="m1",
            storage=storage,
            error_message=error_message,
        ),
        observed_by="sweep",
        asked_at=at(second if asked is None else asked),
        observed_at=at(second),
        start=ORIGIN,
        files=files,
        files_final=final,
        timeout_error=timeout_error,
    )


def file(name: str, url: str | None = "https://files.test/x") -> TrackFile:
    return TrackFile(file_name=name, media_kind="audio", download_url=url)


def after(*sights: Observation) -> Recording:
    known: Recording | None = None
    for one in sights:
        known = apply_observation(known, one).after
    assert known is not None
    return known


def statuses(*sights: Observation) -> list[Status]:
    known, told = None, []
    for one in sights:
        observed = apply_observation(known, one)
        known = observed.after
        told += [event.status for event in observed.events if isinstance(event, StatusChanged)]
    return told


def test_the_first_sight_is_a_change_from_nothing() -> None:
    event = apply_observation(None, seen(Status.INVOKED)).events[0]
    assert isinstance(event, StatusChanged)
    assert (event.previous_status, event.status, event.start_id) == (
        None,
        Status.INVOKED,
        "start-1",
    )


def test_the_same_status_again_is_no_news_and_changes_nothing() -> None:
    known = after(seen(Status.RECORDING))
    observed = apply_observation(known, seen(Status.RECORDING, second=5))
    assert observed.after == known
    assert observed.events == ()


def test_a_status_never_goes_backwards() -> None:
    sights = [seen(Status.UPLOADING), seen(Status.RECORDING, second=1), seen(Status.INVOKED)]
    assert statuses(*sights) == [Status.UPLOADING]


@pytest.mark.parametrize("end", [Status.UPLOADED, Status.ERRORED])
@pytest.mark.parametrize("later", list(Status))
def test_nothing_follows_an_end(end: Status, later: Status) -> None:
    assert statuses(seen(end), seen(later, second=5)) == [end]


def test_pause_resume_pause_are_three_changes() -> None:
    sights = [
        seen(Status.RECORDING),
        seen(Status.PAUSED, second=1),
        seen(Status.RECORDING, second=2),
        seen(Status.PAUSED, second=3),
    ]
    assert statuses(*sights) == [
        Status.RECORDING,
        Status.PAUSED,
        Status.RECORDING,
        Status.PAUSED,
    ]


def test_an_answer_asked_for_before_the_pause_does_not_undo_the_pause() -> None:
    sights = [
        seen(Status.RECORDING),
        seen(Status.PAUSED, second=2),
        seen(Status.RECORDING, second=3, asked=1),
    ]
    assert statuses(*sights) == [Status.RECORDING, Status.PAUSED]


def test_an_old_tale_does_not_bring_back_old_details() -> None:
    known = after(seen(Status.UPLOADING, second=3))
    assert apply_observation(known, seen(Status.RECORDING, second=4)).after == known


def test_uploaded_with_files_announces_change_files_and_completion_in_this_order() -> None:
    known = after(seen(Status.UPLOADING))
    events = apply_observation(known, seen(Status.UPLOADED, files=(file("a"), file("b")))).events
    assert [type(event) for event in events] == [StatusChanged, FileReady, FileReady, Completed]
    assert [(e.file_index, e.file_count) for e in events if isinstance(e, FileReady)] == [
        (1, 2),
        (2, 2),
    ]
    assert isinstance(events[-1], Completed)
    assert events[-1].files == ("a", "b")


def test_uploaded_without_files_waits_and_then_completes_with_none() -> None:
    waiting = after(seen(Status.UPLOADED, files=()))
    assert waiting.files_awaited_since == at(0)
    events = apply_observation(
        waiting, seen(Status.UPLOADED, second=120, files=(), final=True)
    ).events
    assert [type(event) for event in events] == [Completed]
    assert isinstance(events[0], Completed)
    assert events[0].file_count == 0


def test_uploaded_that_nobody_looked_into_is_not_complete() -> None:
    assert not after(seen(Status.UPLOADED)).completed


def test_a_file_that_turns_up_after_completion_still_gets_its_event_and_no_second_completion() -> (
    None
):
    done = after(seen(Status.UPLOADED, files=(file("a"),)))
    events = apply_observation(
        done, seen(Status.UPLOADED, files=(file("a"), file("b"))), ["a"]
    ).events
    assert [type(event) for event in events] == [FileReady]
    assert isinstance(events[0], FileReady)
    assert (events[0].file_name, events[0].file_index, events[0].file_count) == ("b", 2, 2)


def test_the_api_s_own_words_are_the_error_of_an_errored_recording() -> None:
    events = apply_observation(None, seen(Status.ERRORED, error_message="disk on fire")).events
    assert isinstance(events[0], StatusChanged)
    assert events[0].error == ErrorInfo(code="recording_errored", message="disk on fire")
    assert isinstance(events[-1], Completed)


def test_a_conclusion_of_our_own_is_followed_by_the_truth_and_its_files() -> None:
    stalled = ErrorInfo(code="stalled", message="too long")
    known = after(seen(Status.INVOKED), seen(Status.ERRORED, second=9, timeout_error=stalled))
    truth = apply_observation(known, seen(Status.UPLOADED, second=20))
    assert [event.status for event in truth.events if isinstance(event, StatusChanged)] == [
        Status.UPLOADED
    ]
    assert truth.after.error is None
    found = apply_observation(truth.after, seen(Status.UPLOADED, second=21, files=(file("a"),)))
    assert [type(event) for event in found.events] == [FileReady]
    assert found.after.files_awaited_since is None


def test_our_own_conclusion_does_not_overrule_an_end_that_the_api_told() -> None:
    vanished = ErrorInfo(code="vanished", message="gone")
    known = after(seen(Status.UPLOADED))
    observed = apply_observation(known, seen(Status.ERRORED, timeout_error=vanished))
    assert observed.after.status is Status.UPLOADED


def test_version_counts_changes_and_sequence_counts_events() -> None:
    known = after(seen(Status.INVOKED), seen(Status.RECORDING), seen(Status.RECORDING))
    assert (known.version, known.sequence) == (2, 2)
    ended = apply_observation(known, seen(Status.UPLOADED, files=(file("a"),))).after
    assert (ended.version, ended.sequence) == (3, 5)


def test_a_file_in_the_customer_s_own_storage_says_where_it_lies() -> None:
    storage = Storage(type="aws", bucket="b", path="p")
    events = apply_observation(
        None, seen(Status.UPLOADED, files=(file("a", None),), storage=storage)
    ).events
    ready = next(event for event in events if isinstance(event, FileReady))
    assert ready.storage is not None
    assert (ready.storage.bucket, ready.download_url) == ("b", None)


def test_a_recording_is_missing_since_it_was_first_denied_until_it_is_seen_again() -> None:
    denied = [
        msgspec.structs.replace(seen(Status.RECORDING, second=second), missing=True)
        for second in (10, 20)
    ]
    known = after(seen(Status.RECORDING), *denied)
    assert (known.missing_since, known.status) == (at(10), Status.RECORDING)
    assert after(seen(Status.RECORDING), *denied, seen(Status.RECORDING, second=30)) == (
        msgspec.structs.replace(known, missing_since=None, version=3)
    )


def test_a_denied_recording_keeps_the_status_that_it_has_got_meanwhile() -> None:
    denied = msgspec.structs.replace(seen(Status.RECORDING, second=20), missing=True)
    assert statuses(seen(Status.RECORDING), seen(Status.PAUSED, second=10), denied) == [
        Status.RECORDING,
        Status.PAUSED,
    ]


@pytest.mark.parametrize("still", [Status.INVOKED, Status.RECORDING, Status.PAUSED])
def test_what_is_still_where_it_stalled_is_no_news(still: Status) -> None:
    stalled = seen(Status.ERRORED, second=90, timeout_error=ErrorInfo(code="stalled", message="x"))
    assert statuses(seen(Status.RECORDING), stalled, seen(still, second=100)) == [
        Status.RECORDING,
        Status.ERRORED,
    ]


@pytest.mark.parametrize("told", [Status.UPLOADING, Status.UPLOADED])
def test_what_has_moved_on_from_where_it_stalled_is_followed_again(told: Status) -> None:
    stalled = seen(Status.ERRORED, second=90, timeout_error=ErrorInfo(code="stalled", message="x"))
    assert statuses(seen(Status.RECORDING), stalled, seen(told, second=100))[2:] == [told]


def test_a_conclusion_from_what_was_known_before_the_last_change_does_not_count() -> None:
    error = ErrorInfo(code="stalled", message="x")
    stalled = seen(Status.ERRORED, second=90, asked=80, timeout_error=error)
    known = [seen(Status.INVOKED), seen(Status.RECORDING, second=85), stalled]
    assert statuses(*known) == [Status.INVOKED, Status.RECORDING]
