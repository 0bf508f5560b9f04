"""Which details of a recording an observation replaces, and which stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recording_schemas import ErrorInfo, Status
from tests.store_requests import observation_of
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.domain.transitions import apply_observation

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
DETAILS = [
    ("meeting_id", "m1", "m2"),
    ("session_id", "s1", "s2"),
    ("invoked_time", T0, T0 + timedelta(seconds=1)),
    ("started_time", T0, T0 + timedelta(seconds=2)),
    ("stopped_time", T0, T0 + timedelta(seconds=3)),
    ("recording_duration", 0, 61),
    ("recording_duration", 61, 0),
    ("output_file_name", "one", "two"),
    ("start_reason", "API_CALL", "RECORD_ON_START"),
    ("stop_reason", "API_CALL", "ALL_PEERS_LEFT"),
]

OF_THE_OBSERVATION = (
    "cancelled_by",
    "files",
    "missing",
    "start",
    "surplus_of",
    "timeout_error",
)


def observed(second: float, status: Status = Status.RECORDING, **fields: Any) -> Observation:
    of_the_observation = {name: fields.pop(name) for name in OF_THE_OBSERVATION if name in fields}
    time = T0 + timedelta(seconds=second)
    snapshot = RecordingSnapshot(recording_id="r1", status=status, **fields)
    return observation_of(snapshot, time, **of_the_observation)


def after(*observations: Observation) -> Recording:
    recording: Recording | None = None
    for observation in observations:
        recording = apply_observation(recording, observation).after
    assert recording is not None
    return recording


@pytest.mark.parametrize(("name", "first", "second"), DETAILS)
def test_a_detail_stays_while_the_api_leaves_it_out_and_is_replaced_by_the_next_one(
    name: str, first: object, second: object
) -> None:
    details: list[dict[str, Any]] = [{name: first}, {}, {name: second}]
    shown, left_out, shown_again = (
        observed(number, **fields) for number, fields in enumerate(details, start=1)
    )
    assert getattr(after(shown), name) == first
    assert getattr(after(shown, left_out), name) == first
    assert getattr(after(shown, left_out, shown_again), name) == second
    assert getattr(after(left_out, shown), name) == first


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("surplus_of", "start-1", "start-2"),
        ("cancelled_by", "stop-1", "stop-2"),
        ("start", StartContext(start_id="start-1"), StartContext(start_id="start-2")),
    ],
)
def test_the_first_command_that_an_observation_names_stays(
    name: str, first: object, second: object
) -> None:
    details: list[dict[str, Any]] = [{}, {name: first}, {}, {name: second}]
    observations = [observed(number, **fields) for number, fields in enumerate(details, start=1)]
    assert [getattr(after(*observations[:count]), name) for count in (1, 2, 3, 4)] == [
        None,
        first,
        first,
        first,
    ]


@pytest.mark.parametrize(
    ("kind", "is_guessed", "expected"),
    [(None, False, True), ("track", True, True), ("track", False, False)],
)
def test_a_kind_that_the_api_did_not_show_is_a_guess(
    kind: str | None, is_guessed: bool, expected: bool
) -> None:
    first = observed(1, kind=kind, kind_is_guessed=is_guessed)
    assert after(first).kind_is_guessed is expected


@pytest.mark.parametrize(
    "silent", [{"missing": True}, {"timeout_error": ErrorInfo(code="vanished", message="gone")}]
)
def test_an_unknown_status_stays_while_the_api_reports_none(silent: dict[str, Any]) -> None:
    unknown = observed(1, Status.INVOKED, unknown_status="X")
    later = observed(2, Status.ERRORED if "timeout_error" in silent else Status.INVOKED, **silent)
    assert after(unknown, later).unknown_status == "X"
    assert after(unknown, later, observed(3, Status.UPLOADED)).unknown_status is None


@pytest.mark.parametrize("status", [Status.RECORDING, Status.UPLOADING, Status.ERRORED])
def test_only_an_uploaded_recording_has_a_search_for_its_files(status: Status) -> None:
    files = (TrackFile(file_name="a", media_kind="audio", download_url="https://files.test/a"),)
    found = msgspec.structs.replace(observed(2, status), files=files, completeness="lacking")
    assert after(observed(1), found).file_search is None


def test_an_uploaded_recording_whose_list_may_lack_files_has_a_search_for_them() -> None:
    files = (TrackFile(file_name="a", media_kind="audio", download_url="https://files.test/a"),)
    uploaded = observed(2, Status.UPLOADED, kind="track")
    lacking = msgspec.structs.replace(uploaded, files=files, completeness="lacking")
    assert after(observed(1, kind="track"), lacking).file_search is not None


def test_a_guessed_kind_is_replaced_by_one_that_the_api_shows_and_no_other_is() -> None:
    guessed = observed(1, kind="composite", kind_is_guessed=True)
    guessed_again = observed(2, kind="track", kind_is_guessed=True)
    shown, shown_again = observed(3, kind="track"), observed(4, kind="composite")
    assert after(guessed, guessed_again).kind == "composite"
    recording = after(guessed, shown, shown_again)
    assert (recording.kind, recording.kind_is_guessed) == ("track", False)
