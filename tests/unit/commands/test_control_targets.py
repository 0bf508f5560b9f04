"""Which recordings a stop, pause or resume sends its requests for."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from recording_schemas import Kind, PauseRecording, ResumeRecording, Status, StopRecording
from tests.unit.api_client import MEETING, answered_client, id_of, recording_row
from worker.commands.operations import execute
from worker.commands.operations.context import OperationContext, OperationResult
from worker.domain.recording import Recording, StartContext

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
TEMPLATE = "{{user_id}}_{{peer_id}}_{{stream_kind}}_{{media_kind}}"


def known(number: int, status: Status, kind: Kind = "track") -> Recording:
    return Recording(recording_id=id_of(number), app="default", kind=kind, status=status)


def row(number: int, status: Status = Status.RECORDING, kind: Kind = "track") -> dict[str, Any]:
    name = TEMPLATE if kind == "track" else "board.mp4"
    return recording_row(number, status=status, output_file_name=name)


class StubApi:
    """The API at its wire: its list, and the numbers of the recordings that were acted on."""

    def __init__(self, *listed: dict[str, Any], known: tuple[Recording, ...] = ()) -> None:
        self.listed, self.known = listed, known
        self.acted_on: list[int] = []

    async def execute(
        self, command: StopRecording | PauseRecording | ResumeRecording
    ) -> OperationResult:
        context = OperationContext(
            api=answered_client(self._answer),
            app="default",
            now=lambda: T0,
            start_context=StartContext(start_id=command.id),
            known=self.known,
        )
        return await execute(command, context)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.acted_on.append(UUID(request.url.path.rpartition("/")[2]).int)
            return httpx.Response(200, json={"success": True, "data": row(self.acted_on[-1])})
        if request.url.path.endswith("/recordings"):
            paging = {"total_count": len(self.listed), "end_offset": len(self.listed)}
            return httpx.Response(
                200, json={"success": True, "data": self.listed, "paging": paging}
            )
        ended = {"success": True, "data": row(1, Status.UPLOADED)}
        return httpx.Response(200, json=ended)


@pytest.mark.parametrize(("kind", "expected"), [(None, {1, 2}), ("track", {1}), ("composite", {2})])
async def test_a_stop_of_one_kind_acts_on_the_listed_recordings_of_this_kind(
    kind: Kind | None, expected: set[int]
) -> None:
    stub = StubApi(row(1), row(2, kind="composite"))
    await stub.execute(StopRecording(id="stop", meeting_id=MEETING, kind=kind))
    assert set(stub.acted_on) == expected


async def test_the_kind_that_the_worker_knows_counts_more_than_the_listed_one() -> None:
    stub = StubApi(row(1, kind="composite"), known=(known(1, Status.RECORDING),))
    await stub.execute(StopRecording(id="stop", meeting_id=MEETING, kind="track"))
    assert stub.acted_on == [1]


@pytest.mark.parametrize(("kind", "expected"), [(None, {1, 2}), ("track", {1}), ("composite", {2})])
async def test_a_stop_acts_on_known_live_recordings_that_the_list_lacks(
    kind: Kind | None, expected: set[int]
) -> None:
    stub = StubApi(
        known=(
            known(1, Status.RECORDING),
            known(2, Status.PAUSED, "composite"),
            known(3, Status.UPLOADED),
            known(4, Status.ERRORED, "composite"),
        )
    )
    await stub.execute(StopRecording(id="stop", meeting_id=MEETING, kind=kind))
    assert set(stub.acted_on) == expected


async def test_a_stop_observes_a_known_recording_that_the_list_shows_as_stopped() -> None:
    world = World(
        row(1, Status.UPLOADING), row(2, Status.UPLOADING), known=(known(1, Status.RECORDING),)
    )
    result = await world.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert world.acted_on == []
    observed = [(one.snapshot.recording_id, one.snapshot.status) for one in result.observations]
    assert observed == [(id_of(1), Status.UPLOADING)]


@pytest.mark.parametrize("command_type", [PauseRecording, ResumeRecording])
async def test_only_a_stop_takes_a_recording_that_has_ended_as_done(
    command_type: type[PauseRecording | ResumeRecording],
) -> None:
    stub = StubApi(known=(known(1, Status.UPLOADED),))
    await stub.execute(StopRecording(id="stop", recording_id=id_of(1)))
    assert stub.acted_on == []
    await stub.execute(command_type(id="other", recording_id=id_of(1)))
    assert stub.acted_on == [1]
