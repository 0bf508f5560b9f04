"""When a recording of limited duration is to be stopped."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest

from recording_schemas import Status
from tests.store_requests import observation_of
from worker.domain.max_duration import next_stop_at
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeout_observations import end_observation, stalled_error, vanished_error
from worker.domain.timeouts import Timeouts
from worker.domain.transitions import apply_observation

NOW: Final = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
LIMIT: Final = 600
START: Final = StartContext(start_id="s", max_seconds=LIMIT)
TIMEOUTS: Final = Timeouts(
    files_settle=1,
    files_wait=1,
    files_late=1,
    invoked_timeout=1,
    uploading_timeout=1,
    recording_timeout=1,
    vanished_after=1,
)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def observed(
    status: Status, at: float, *, start: StartContext | None = START, **more: Any
) -> Observation:
    by = more.pop("observed_by", "sweep")
    snapshot = RecordingSnapshot(recording_id="r", status=status, kind="track", **more)
    return observation_of(snapshot, after(at), by, start=start)


def state(*observations: Observation) -> Recording:
    recording: Recording | None = None
    for observation in observations:
        recording = apply_observation(recording, observation).after
    assert recording is not None
    return recording


INVOKED: Final = observed(Status.INVOKED, 0)


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        (None, 100),
        (after(40), 40),
        (after(100), 100),
        (after(5000), 100),  # the API's clock is ahead
        (after(-5000), 0),  # the API's clock is behind
    ],
)
def test_the_duration_counts_from_the_apis_time_within_what_was_observed(
    started: datetime | None, expected: float
) -> None:
    recording = state(INVOKED, observed(Status.RECORDING, 100, started_time=started))
    assert recording.stop_at == after(expected + LIMIT)


@pytest.mark.parametrize("status", [Status.RECORDING, Status.PAUSED])
@pytest.mark.parametrize("by", ["command", "webhook", "sweep"])
def test_the_first_observation_of_the_beginning_sets_the_time(status: Status, by: str) -> None:
    recording = state(INVOKED, observed(status, 7, observed_by=by))
    assert recording.stop_at == after(7 + LIMIT)


@pytest.mark.parametrize(
    ("started", "expected"),
    [(None, 100), (after(-3000), -3000), (after(-100_000), 100), (after(200), 100)],
)
def test_a_recording_that_is_adopted_while_it_records_counts_from_its_start(
    started: datetime | None, expected: float
) -> None:
    recording = state(observed(Status.RECORDING, 100, started_time=started))
    assert recording.stop_at == after(expected + LIMIT)


def test_a_recording_that_was_known_before_its_start_is_limited_too() -> None:
    recording = state(
        observed(Status.RECORDING, 10, start=None), observed(Status.INVOKED, 20, start=START)
    )
    assert recording.stop_at == after(10 + LIMIT)


def test_no_later_observation_moves_the_time() -> None:
    begun = state(INVOKED, observed(Status.RECORDING, 10))
    later = [
        observed(Status.PAUSED, 20),
        observed(Status.RECORDING, 30, started_time=after(25)),
        observed(Status.UPLOADING, 40),
    ]
    assert {apply_observation(begun, observation).after.stop_at for observation in later} == {
        begun.stop_at
    }


@pytest.mark.parametrize("status", [Status.INVOKED, Status.UPLOADING, Status.ERRORED])
def test_a_recording_that_has_not_begun_or_has_ended_has_no_time(status: Status) -> None:
    assert state(INVOKED, observed(status, 10)).stop_at is None


def test_a_recording_without_a_limit_has_no_time() -> None:
    free = StartContext(start_id="s")
    assert state(observed(Status.RECORDING, 1, start=free)).stop_at is None
    assert state(observed(Status.RECORDING, 1, start=None)).stop_at is None


def test_an_undocumented_status_does_not_begin_the_duration() -> None:
    assert state(INVOKED, observed(Status.INVOKED, 5, unknown_status="WARM")).stop_at is None


# The time of the next attempt

BEGUN: Final = state(INVOKED, observed(Status.RECORDING, 10))


def test_the_first_attempt_is_due_at_the_recordings_own_time() -> None:
    assert next_stop_at(BEGUN, None) == after(10 + LIMIT).timestamp()


@pytest.mark.parametrize("status", [Status.RECORDING, Status.PAUSED])
def test_an_attempt_that_was_put_off_stays_put_off(status: Status) -> None:
    recording = apply_observation(BEGUN, observed(status, 900)).after
    assert next_stop_at(recording, 1234.5) == 1234.5


@pytest.mark.parametrize("status", [Status.UPLOADING, Status.UPLOADED, Status.ERRORED])
def test_a_recording_that_has_ended_is_not_to_be_stopped(status: Status) -> None:
    recording = apply_observation(BEGUN, observed(status, 20)).after
    assert next_stop_at(recording, 1234.5) is None


def test_a_row_whose_state_an_older_version_rewrote_keeps_its_time() -> None:
    rewritten = msgspec.structs.replace(BEGUN, stop_at=None)
    assert next_stop_at(rewritten, 1234.5) == 1234.5


def test_a_recording_that_was_given_up_is_still_to_be_stopped_and_one_that_is_gone_is_not() -> None:
    stalled = stalled_error(BEGUN, TIMEOUTS, after(900))
    gone = vanished_error(BEGUN)
    ends = [
        apply_observation(
            BEGUN, end_observation(BEGUN, error, asked_at=after(900), now=after(900))
        ).after
        for error in (stalled, gone)
    ]
    assert [next_stop_at(end, 1234.5) for end in ends] == [1234.5, None]


def test_an_upload_that_was_given_up_is_not_to_be_stopped() -> None:
    uploading = apply_observation(BEGUN, observed(Status.UPLOADING, 20)).after
    error = stalled_error(uploading, TIMEOUTS, after(900))
    end = end_observation(uploading, error, asked_at=after(900), now=after(900))
    assert next_stop_at(apply_observation(uploading, end).after, None) is None
