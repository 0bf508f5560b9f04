"""Which listed recordings may belong to a start, and which one is its own."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from recording_schemas import Kind, Status
from tests.operation_contexts import operation_context
from tests.unit.api_client import MEETING, answered_client, id_of, recording_row
from worker.commands.operations.own_recording import StartedRecording, find_own_recording
from worker.domain.errors import OutcomeUnknown
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import FoundFile, RecordingSnapshot

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
STARTED = StartedRecording(meeting_id=MEETING, kind="track", file_name_prefix="Board-Call 7")


def listed(**fields: object) -> RecordingSnapshot:
    plain = RecordingSnapshot(recording_id="r1", status=Status.RECORDING, kind="track")
    return msgspec.structs.replace(plain, **fields)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (None, True),
        ("", True),
        ("Board-Call 7_a_b_audio", True),
        ("board_call_7_a_b_audio", True),
        ("{{user_id}}_{{peer_id}}", True),
        ("Board-Call", False),
        ("other_Board-Call 7", False),
    ],
)
def test_a_recording_fits_by_the_letters_of_its_prefix_if_its_name_is_known(
    name: str | None, fits: bool
) -> None:
    assert STARTED.fits(listed(output_file_name=name)) is fits


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (("board-call 7_a_b_audio.webm", "board-call 7_c_d_audio.webm"), True),
        (("default_a_b_audio.webm",), False),
        ((), True),
    ],
)
def test_a_recording_whose_files_have_another_prefix_does_not_fit(
    names: tuple[str, ...], fits: bool
) -> None:
    files = tuple(FoundFile(name=name, media="audio") for name in names)
    template = "{{user_id}}_{{peer_id}}"
    assert STARTED.fits(listed(output_file_name=template, files=files)) is fits


@pytest.mark.parametrize("prefix", [None, ""])
def test_without_a_prefix_any_name_fits(prefix: str | None) -> None:
    started = msgspec.structs.replace(STARTED, file_name_prefix=prefix)
    assert started.fits(listed(output_file_name="anything"))


@pytest.mark.parametrize(
    ("kind", "is_guessed", "fits"),
    [
        ("track", False, True),
        (None, False, True),
        ("composite", False, False),
        ("composite", True, True),
    ],
)
def test_a_recording_of_another_kind_fits_only_if_its_kind_is_guessed(
    kind: Kind | None, is_guessed: bool, fits: bool
) -> None:
    assert STARTED.fits(listed(kind=kind, kind_is_guessed=is_guessed)) is fits


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"start_reason": "RECORD_ON_START"}, False),
        ({"start_reason": "API_CALL"}, True),
        ({"start_caller": "USER"}, False),
        ({"start_caller": "ORGANIZATION"}, True),
    ],
)
def test_a_recording_that_others_started_does_not_fit(fields: dict[str, str], fits: bool) -> None:
    assert STARTED.fits(listed(**fields)) is fits


def row(number: int, second: float | None, status: str = "RECORDING") -> dict[str, Any]:
    """A listed recording that began `second` seconds after the call. None: the row has no time."""
    began = None if second is None else (T0 + timedelta(seconds=second)).isoformat()
    template = "{{user_id}}_{{peer_id}}_{{stream_kind}}_{{media_kind}}"
    return recording_row(number, status=status, invoked_time=began, output_file_name=template)


def known(number: int, start_id: str | None) -> Recording:
    return Recording(
        recording_id=id_of(number),
        app="default",
        kind="track",
        status=Status.RECORDING,
        start=None if start_id is None else StartContext(start_id=start_id),
    )


async def own_of(*rows: dict[str, Any], known: tuple[Recording, ...] = ()) -> int | None:
    """The number of the recording that `our-start` finds ten seconds after its call."""

    def answer(_request: httpx.Request) -> httpx.Response:
        paging = {"total_count": len(rows), "start_offset": 1, "end_offset": len(rows)}
        now = format_datetime(T0 + timedelta(seconds=10), usegmt=True)
        body = {"success": True, "data": rows, "paging": paging}
        return httpx.Response(200, json=body, headers={"date": now})

    context = operation_context(
        answered_client(answer),
        "our-start",
        now=lambda: T0 + timedelta(seconds=10),
        called_at=T0,
        known=known,
    )
    found = await find_own_recording(context, STARTED)
    return None if found is None else UUID(found.recording_id).int


async def test_the_first_recording_since_the_call_is_our_own() -> None:
    assert await own_of(row(1, -2), row(2, 4), row(3, 1), row(4, 2)) == 3


@pytest.mark.parametrize(("start_id", "own"), [("our-start", 1), ("other-start", 2), (None, 1)])
async def test_a_recording_of_another_start_is_not_our_own(start_id: str | None, own: int) -> None:
    assert await own_of(row(1, 1), row(2, 2), known=(known(1, start_id),)) == own


async def test_a_live_recording_without_any_time_may_be_our_own() -> None:
    with pytest.raises(OutcomeUnknown, match="does not say when"):
        await own_of(row(1, None))
    assert await own_of(row(1, None), row(2, 1)) == 2


@pytest.mark.parametrize("status", ["UPLOADED", "ERRORED"])
async def test_an_ended_recording_without_any_time_does_not_keep_a_start_from_its_call(
    status: str,
) -> None:
    assert await own_of(row(1, None, status)) is None


async def test_a_known_recording_without_any_time_does_not_keep_a_start_from_its_call() -> None:
    assert await own_of(row(1, None), known=(known(1, None),)) is None
