"""Starts whose call meets a conflict, and starts that name a storage."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import msgspec
import pytest
from msgspec import UNSET, UnsetType

from recording_schemas import StartRecording, Status
from recording_schemas.composite import BucketConfig
from tests.operation_contexts import operation_context
from tests.unit.api_client import MEETING, answered_client, id_of, recording_row
from worker.commands.operations import execute
from worker.commands.operations.context import OperationResult
from worker.domain.errors import Conflict
from worker.domain.recording import Recording

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
NOW = T0 + timedelta(seconds=31)
CONFLICT = {"success": False, "error": {"code": 409, "message": "a recording runs already"}}


def row(number: int, second: float, name: str = "board.mp4") -> dict[str, Any]:
    began = (T0 + timedelta(seconds=second)).isoformat()
    return recording_row(number, invoked_time=began, output_file_name=name)


async def start(
    *lists: list[dict[str, Any]], known: tuple[Recording, ...] = (), **fields: Any
) -> OperationResult:
    """Start 31 seconds after a call without an answer. Each request for the list gets the next of
    `lists`, and the call a conflict."""
    left: Iterator[list[dict[str, Any]]] = iter(lists)

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"date": format_datetime(NOW, usegmt=True)}
        if request.method == "POST":
            return httpx.Response(409, json=CONFLICT, headers=headers)
        rows = next(left)
        paging = {"total_count": len(rows), "start_offset": 1, "end_offset": len(rows)}
        body = {"success": True, "data": rows, "paging": paging}
        return httpx.Response(200, json=body, headers=headers)

    context = operation_context(
        answered_client(answer), "our-start", now=lambda: NOW, called_at=T0, known=known
    )
    return await execute(StartRecording(id="our-start", meeting_id=MEETING, **fields), context)


async def test_a_conflict_with_a_recording_that_the_list_showed_too_late_adopts_our_own() -> None:
    assert (await start([], [row(1, -60), row(2, 1)])).recording_ids == (id_of(2),)


async def test_a_conflict_with_a_recording_of_others_is_a_refusal() -> None:
    with pytest.raises(Conflict):
        await start([], [row(1, -60)])


async def test_a_composite_adopts_a_recording_with_its_prefix_only() -> None:
    listed = [row(1, 1, "weekly_1.mp4"), row(2, 2, "daily_1.mp4")]
    result = await start(listed, file_name_prefix="daily")
    assert result.recording_ids == (id_of(2),)


async def test_a_search_observes_known_recordings_that_have_changed() -> None:
    others = (
        Recording(recording_id=id_of(1), app="default", kind="composite", status=Status.INVOKED),
    )
    result = await start([row(1, -60), row(2, 1)], known=others)
    assert result.recording_ids == (id_of(2),)
    seen = [(item.snapshot.recording_id, item.start is not None) for item in result.observations]
    assert seen == [(id_of(1), False), (id_of(2), True)]


STORAGE_PROFILE = {"type": "aws", "bucket": "ours", "access_key": "key", "secret": "s3cret"}


async def start_into_storage(**fields: Any) -> tuple[dict[str, Any], OperationResult]:
    """Start a composite with a storage profile. Returns the body of the call, and the result."""
    calls: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.content)
        return httpx.Response(200, json={"success": True, "data": recording_row(1)})

    context = operation_context(
        answered_client(answer),
        "our-start",
        now=lambda: NOW,
        storage_profiles={"archive": STORAGE_PROFILE},
    )
    command = StartRecording(
        id="our-start", meeting_id=MEETING, storage_profile="archive", **fields
    )
    result = await execute(command, context)
    return msgspec.json.decode(*calls), result


async def test_a_start_with_a_storage_profile_sends_the_storage_of_that_name() -> None:
    body, _ = await start_into_storage()
    assert body["storage_config"] == STORAGE_PROFILE
    assert "storage_profile" not in body


@pytest.mark.parametrize(
    ("bucket", "is_only"),
    [(UNSET, False), (BucketConfig(enabled=True), False), (BucketConfig(enabled=False), True)],
)
async def test_a_file_is_expected_in_the_storage_alone_if_the_api_keeps_none(
    bucket: BucketConfig | UnsetType, is_only: bool
) -> None:
    _, result = await start_into_storage(realtimekit_bucket_config=bucket)
    start = result.observations[-1].start
    assert start is not None
    assert start.only_in_storage == is_only
