"""When a recording is next read singly: one test per row of the tables in `read_policy`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recording_schemas import ErrorInfo, ObservedBy, Status
from tests.store_requests import observation_of
from worker.domain.read_policy import is_past_rechecks, next_read_at, read_again_at
from worker.domain.recording import Completeness, FileSearch, Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeouts import Timeouts

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
EPOCH = T0.timestamp()
TIMEOUTS = Timeouts(
    files_settle=10,
    files_wait=120,
    files_late=3600,
    invoked_timeout=120,
    uploading_timeout=7200,
    recording_timeout=90_000,
    vanished_after=30,
)
DAY = 86_400.0


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def recording(status: Status = Status.RECORDING, **fields: Any) -> Recording:
    return Recording(
        recording_id="r1", app="default", kind="track", status=status, changed_at=T0, **fields
    )


def observed(
    status: Status = Status.RECORDING,
    *,
    asked_at: float = 100,
    second: float = 101,
    by: ObservedBy = "sweep",
    **fields: Any,
) -> Observation:
    snapshot = RecordingSnapshot(recording_id="r1", status=status, kind="track")
    return observation_of(snapshot, at(second), by, asked_at=at(asked_at), **fields)


def next_read(
    observation: Observation,
    *,
    before: Recording | None = None,
    after: Recording | None = None,
    scheduled: float | None = None,
    webhook: float | None = None,
) -> float | None:
    """The next `read_at`, in seconds after T0. `before` is RECORDING, and so is `after`."""
    read_at = next_read_at(
        before or recording(),
        after or recording(),
        observation,
        read_at=None if scheduled is None else EPOCH + scheduled,
        webhook_at=None if webhook is None else EPOCH + webhook,
    )
    return None if read_at is None else read_at - EPOCH


WAITING = recording(Status.UPLOADED, files_awaited_since=at(90))


def test_an_answer_that_a_webhook_has_overtaken_leaves_the_read_scheduled() -> None:
    assert next_read(observed(asked_at=100, second=102), scheduled=90, webhook=101) == 90


@pytest.mark.parametrize("webhook", [99, 100, 102.5])
def test_a_webhook_before_the_request_or_after_its_answer_has_overtaken_nothing(
    webhook: float,
) -> None:
    assert next_read(observed(asked_at=100, second=102), scheduled=90, webhook=webhook) is None


def test_a_webhook_is_not_overtaken_by_itself() -> None:
    stopped = observed(Status.UPLOADED, asked_at=100, second=102, by="webhook")
    assert next_read(stopped, after=ENDED_WITH_FILES, scheduled=90, webhook=None) is None
    assert next_read(stopped, after=WAITING, scheduled=110, webhook=101) == 102


def test_an_answer_that_a_webhook_has_overtaken_is_enough_if_it_ended_the_recording() -> None:
    ended = recording(Status.ERRORED)

    assert next_read(observed(), after=ended, scheduled=90, webhook=100.5) is None


def test_an_observation_can_say_when_to_read_again() -> None:
    assert next_read(observed(read_again_at=at(500)), scheduled=300) == 500


@pytest.mark.parametrize(("scheduled", "expected"), [(None, 101), (90, 90), (300, 101)])
def test_a_recording_is_read_at_once_when_its_files_are_awaited(
    scheduled: float | None, expected: float
) -> None:
    assert next_read(observed(), after=WAITING, scheduled=scheduled) == expected


@pytest.mark.parametrize(
    ("stopped", "by", "expected"),
    [
        (50, "sweep", 50),
        (-400, "sweep", -400),
        (-600, "sweep", -499),  # at most ten minutes before it was seen
        (500, "sweep", 101),  # by a clock that is ahead
        (50, "webhook", 101),
    ],
)
def test_files_are_due_since_the_recording_stopped(
    stopped: float, by: ObservedBy, expected: float
) -> None:
    uploaded = msgspec.structs.replace(WAITING, stopped_time=at(stopped))
    assert next_read(observed(by=by), after=uploaded) == expected


@pytest.mark.parametrize(
    "unwanted",
    [recording(surplus_of="start-1"), recording(Status.PAUSED, cancelled_by="stop-1")],
    ids=["surplus", "cancelled"],
)
def test_an_unwanted_recording_is_read_each_second_until_it_is_stopped(
    unwanted: Recording,
) -> None:
    assert next_read(observed(), after=unwanted) == 101
    assert next_read(observed(), after=unwanted, scheduled=90) == 90
    assert seconds_until_reread(unwanted, 5) == 1


@pytest.mark.parametrize(("scheduled", "expected"), [(None, 101), (90, 90), (300, 300)])
def test_a_later_observation_does_not_move_the_read_for_awaited_files(
    scheduled: float | None, expected: float
) -> None:
    assert next_read(observed(), before=WAITING, after=WAITING, scheduled=scheduled) == expected


@pytest.mark.parametrize(("scheduled", "expected"), [(None, 101), (90, 90), (300, 101)])
def test_a_webhook_that_contradicts_the_state_has_the_recording_read_at_once(
    scheduled: float | None, expected: float
) -> None:
    webhook = observed(Status.PAUSED, by="webhook")

    assert next_read(webhook, scheduled=scheduled) == expected


@pytest.mark.parametrize("scheduled", [None, 90, 300])
def test_any_other_webhook_leaves_the_schedule_as_it_is(scheduled: float | None) -> None:
    assert next_read(observed(by="webhook"), scheduled=scheduled) == scheduled


ENDED_WITH_FILES = recording(Status.UPLOADED, file_count=2, completed=True)
ENDED_WITH_ERROR = recording(Status.ERRORED, completed=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (recording(), ENDED_WITH_FILES),
        (recording(Status.UPLOADING), ENDED_WITH_FILES),
        (WAITING, ENDED_WITH_FILES),
        (recording(Status.INVOKED), ENDED_WITH_ERROR),
        (recording(), ENDED_WITH_ERROR),
    ],
)
@pytest.mark.parametrize("webhook", [None, 89])
def test_a_webhook_that_ends_a_recording_settles_the_read_for_its_absence_from_a_list(
    before: Recording, after: Recording, webhook: float | None
) -> None:
    end = observed(after.status, by="webhook")

    assert next_read(end, before=before, after=after, scheduled=90, webhook=webhook) is None


LACKING = FileSearch(list_hash="h", listed_since=at(100), completeness="lacking")


@pytest.mark.parametrize(
    ("before", "after", "webhook"),
    [
        (recording(), ENDED_WITH_FILES, 90),  # webhooks contradicted each other
        (recording(), ENDED_WITH_FILES, 95),
        (ENDED_WITH_FILES, ENDED_WITH_FILES, None),  # a repeat
        (recording(), msgspec.structs.replace(ENDED_WITH_FILES, file_search=LACKING), None),
        (recording(), recording(Status.UPLOADED, completed=True), None),  # without files
        (recording(), recording(Status.ERRORED, completed=True, timed_out=True), None),
    ],
)
def test_a_webhook_leaves_the_read_scheduled_that_an_end_does_not_settle(
    before: Recording, after: Recording, webhook: float | None
) -> None:
    end = observed(after.status, by="webhook")

    assert next_read(end, before=before, after=after, scheduled=90, webhook=webhook) == 90


@pytest.mark.parametrize("by", ["sweep", "command"])
def test_a_recording_that_is_live_again_is_not_left_until_the_next_check_of_its_end(
    by: ObservedBy,
) -> None:
    timed_out = recording(Status.ERRORED, completed=True, timed_out=True)

    assert next_read(observed(by=by), before=timed_out, scheduled=5000) is None


@pytest.mark.parametrize(("scheduled", "expected"), [(None, None), (100, None), (100.1, 100.1)])
def test_an_answer_settles_only_a_read_that_was_due_when_the_request_was_sent(
    scheduled: float | None, expected: float | None
) -> None:
    after = next_read(observed(asked_at=100), scheduled=scheduled)

    assert after == (None if expected is None else pytest.approx(expected, abs=1e-3))


def seconds_until_reread(after: Recording, second: float) -> float | None:
    again = read_again_at(after, at(second), TIMEOUTS)
    return None if again is None else (again - at(second)).total_seconds()


@pytest.mark.parametrize(
    ("second", "pause"), [(0.2, 1), (4, 4), (70, 50), (120, 1), (600, 1)], ids=str
)
def test_reads_for_files_become_rarer_until_the_end_of_the_wait(
    second: float, pause: float
) -> None:
    waiting = recording(Status.UPLOADED, files_awaited_since=T0)

    assert seconds_until_reread(waiting, second) == pause


def searching(listed: float, completeness: Completeness = "lacking") -> FileSearch:
    return FileSearch(list_hash="h", listed_since=at(listed), completeness=completeness)


@pytest.mark.parametrize(
    ("second", "pause"),
    [(100, 2), (101, 1), (102, 8), (110, 10), (115, 5), (120, 1)],
    ids=str,
)
def test_a_list_that_lacks_a_file_is_read_again_soon_and_when_it_can_have_settled(
    second: float, pause: float
) -> None:
    waiting = recording(Status.UPLOADED, files_awaited_since=T0, file_search=searching(100))

    assert seconds_until_reread(waiting, second) == pause


def ended(completeness: Completeness = "lacking", *, listed: float = 0) -> Recording:
    search = msgspec.structs.replace(searching(listed, completeness), ended_at=at(20))
    return recording(Status.UPLOADED, completed=True, file_count=1, file_search=search)


@pytest.mark.parametrize(
    ("second", "pause"), [(20, 3600), (3619, 1), (3620, None), (5000, None)], ids=str
)
def test_a_missing_file_is_looked_for_a_last_time_after_the_completion(
    second: float, pause: float | None
) -> None:
    assert seconds_until_reread(ended(), second) == pause


@pytest.mark.parametrize("second", [20, 3000])
def test_a_recording_of_which_nothing_is_known_to_be_missing_gets_no_last_look(
    second: float,
) -> None:
    assert seconds_until_reread(ended("unknown"), second) is None


@pytest.mark.parametrize("completeness", ["lacking", "unknown"])
@pytest.mark.parametrize(("second", "pause"), [(20, 5), (4000, None)], ids=str)
def test_a_completed_recording_is_read_until_its_list_has_settled(
    completeness: Completeness, second: float, pause: float | None
) -> None:
    completed = ended(completeness, listed=15)

    assert seconds_until_reread(completed, second) == pause


def test_a_recording_that_completed_without_files_is_read_a_last_time_too() -> None:
    empty = recording(Status.UPLOADED, completed=True)

    assert seconds_until_reread(empty, 3000) == 720


@pytest.mark.parametrize(("second", "pause"), [(0, 1), (10, 10), (20, 10), (30, 1)], ids=str)
def test_a_missing_recording_is_read_again_until_it_counts_as_gone(
    second: float, pause: float
) -> None:
    assert seconds_until_reread(recording(missing_since=T0), second) == pause


STALLED = ErrorInfo(code="stalled", message="x")


@pytest.mark.parametrize(
    "proven",
    [
        recording(),
        recording(Status.UPLOADED, file_count=1, completed=True),
        recording(Status.ERRORED, completed=True),
    ],
    ids=["live", "uploaded", "errored"],
)
def test_a_recording_whose_state_is_proven_needs_no_single_read(proven: Recording) -> None:
    assert seconds_until_reread(proven, 5) is None


@pytest.mark.parametrize(
    "unproven",
    [
        recording(Status.ERRORED, completed=True, timed_out=True, error=STALLED),
        recording(Status.UPLOADED, completed=True),
    ],
    ids=["timed out", "without files"],
)
@pytest.mark.parametrize(
    ("second", "pause"), [(0, 60), (300, 300), (50_000, DAY - 50_000), (DAY, None)], ids=str
)
def test_an_end_without_proof_is_read_again_for_a_day(
    unproven: Recording, second: float, pause: float | None
) -> None:
    assert seconds_until_reread(unproven, second) == pause


def test_only_an_ended_recording_is_ever_past_its_rechecks() -> None:
    assert is_past_rechecks(recording(Status.ERRORED), at(DAY))
    assert not is_past_rechecks(recording(Status.ERRORED), at(DAY - 1))
    assert not is_past_rechecks(recording(), at(2 * DAY))
