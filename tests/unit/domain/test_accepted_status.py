"""Which statuses of a webhook change a recording, and which make the worker read the API.

A webhook has no time, so its status was valid at some moment only.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from recording_schemas import ErrorInfo, Kind, Status
from worker.domain.accepted_status import webhook_contradicts
from worker.domain.recording import Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.transitions import apply_observation

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
INVOKED, RECORDING, PAUSED, UPLOADING, UPLOADED, ERRORED = Status

MOVES: Final = {
    INVOKED: {RECORDING, PAUSED, UPLOADING, UPLOADED, ERRORED},
    RECORDING: {UPLOADING, UPLOADED, ERRORED},
    PAUSED: {UPLOADING, UPLOADED, ERRORED},
    UPLOADING: {UPLOADED, ERRORED},
    UPLOADED: set[Status](),
    ERRORED: set[Status](),
}
"""The statuses of a webhook that a recording of each status takes."""

ASKS: Final = {
    INVOKED: set[Status](),
    RECORDING: {PAUSED},
    PAUSED: {RECORDING},
    UPLOADING: set[Status](),
    UPLOADED: {ERRORED},
    ERRORED: {UPLOADED},
}
"""The statuses of a webhook that only a request to the API can confirm."""


def recording(status: Status, kind: Kind = "track") -> Recording:
    return Recording(recording_id="r1", app="default", kind=kind, status=status, changed_at=T0)


def webhook(status: Status, message: str | None = None) -> Observation:
    return Observation(
        snapshot=RecordingSnapshot(recording_id="r1", status=status, error_message=message),
        observed_by="webhook",
        asked_at=T0 + timedelta(seconds=5),
        observed_at=T0 + timedelta(seconds=5),
    )


@pytest.mark.parametrize("kind", ["track", "composite"])
@pytest.mark.parametrize("reported", Status)
@pytest.mark.parametrize("known", Status)
def test_a_webhook_moves_a_recording_forward_only(
    known: Status, reported: Status, kind: Kind
) -> None:
    after = apply_observation(recording(known, kind), webhook(reported)).after
    assert after.status is (reported if reported in MOVES[known] else known)


@pytest.mark.parametrize("reported", Status)
@pytest.mark.parametrize("known", Status)
def test_a_webhook_of_the_same_rank_has_the_api_asked(known: Status, reported: Status) -> None:
    is_asked = webhook_contradicts(recording(known), webhook(reported))
    assert is_asked is (reported in ASKS[known])


@pytest.mark.parametrize("reported", Status)
def test_a_recording_that_the_worker_ended_takes_only_its_upload_from_a_webhook(
    reported: Status,
) -> None:
    gone = Observation(
        snapshot=RecordingSnapshot(recording_id="r1", status=ERRORED),
        observed_by="sweep",
        asked_at=T0 + timedelta(seconds=1),
        observed_at=T0 + timedelta(seconds=1),
        timeout_error=ErrorInfo(code="vanished", message="gone"),
    )
    ended = apply_observation(recording(RECORDING), gone).after
    after = apply_observation(ended, webhook(reported)).after
    assert after.status is (UPLOADED if reported is UPLOADED else ERRORED)
    assert after.timed_out is (reported is not UPLOADED)
    may_be_wrong = reported in {INVOKED, RECORDING, PAUSED, UPLOADING}
    assert webhook_contradicts(ended, webhook(reported)) is may_be_wrong


@pytest.mark.parametrize(("kind", "is_taken"), [("track", True), ("composite", False)])
def test_a_webhook_with_a_message_that_may_repeat_storage_secrets_changes_no_composite(
    kind: Kind, is_taken: bool
) -> None:
    before, failed = recording(RECORDING, kind), webhook(ERRORED, "bad key hunter2")
    assert (apply_observation(before, failed).after.status is ERRORED) is is_taken
    assert webhook_contradicts(before, failed) is not is_taken
