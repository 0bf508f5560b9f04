"""Which recordings a stop, pause or resume sends its requests for."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from recording_schemas import Kind, PauseRecording, ResumeRecording, Status, StopRecording
from tests.operation_contexts import operation_context
from tests.unit.api_client import MEETING, answered_client, id_of, recording_row
from worker.commands.operations import execute
from worker.commands.operations.context import OperationResult, Progress
from worker.domain.command_keys import start_slot
from worker.domain.errors import Contradicted, NotYet, StoreUnavailable
from worker.domain.recording import Recording
from worker.realtimekit.actions import Ended

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
NOT_FOUND = {"success": False, "error": {"code": 404, "message": "not found"}}
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
        self.omitted: tuple[str, ...] = ()
        self.gone: set[int] = set()
        self.over: set[int] = set()
        self.starting: dict[str, float] = {}

    async def execute(
        self, command: StopRecording | PauseRecording | ResumeRecording, **fields: Any
    ) -> OperationResult:
        context = operation_context(
            answered_client(self._answer),
            command.id,
            now=lambda: T0,
            known=self.known,
            **{"find_starting": self._find_starting, **fields},
        )
        return await execute(command, context)

    async def _find_starting(self, slots: Collection[str]) -> dict[str, float]:
        return {slot: self.starting[slot] for slot in slots if slot in self.starting}

    def _answered_row(self) -> dict[str, Any]:
        number = self.acted_on[-1]
        listed = {item["id"]: item for item in self.listed}.get(id_of(number), row(number))
        return {field: value for field, value in listed.items() if field not in self.omitted}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            number = UUID(request.url.path.rpartition("/")[2]).int
            self.acted_on.append(number)
            if number in self.gone | self.over:
                return httpx.Response(404, json=NOT_FOUND)
            return httpx.Response(200, json={"success": True, "data": self._answered_row()})
        if request.url.path.endswith("/recordings"):
            paging = {"total_count": len(self.listed), "end_offset": len(self.listed)}
            return httpx.Response(
                200, json={"success": True, "data": self.listed, "paging": paging}
            )
        number = UUID(request.url.path.rpartition("/")[2]).int
        ended = {"success": True, "data": row(number, Status.UPLOADED)}
        return (
            httpx.Response(404, json=NOT_FOUND)
            if number in self.gone
            else httpx.Response(200, json=ended)
        )


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


async def test_a_stop_observes_what_it_names_and_the_list_shows_as_stopped() -> None:
    stub = StubApi(
        row(1, Status.UPLOADING),
        row(2, Status.UPLOADING),
        row(3, Status.UPLOADING, "composite"),
        known=(known(1, Status.RECORDING),),
    )
    stub.starting = {start_slot("default", MEETING, "composite"): T0.timestamp()}
    result = await stub.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert stub.acted_on == []
    assert result.recording_ids == (id_of(1), id_of(2), id_of(3))
    waiting = {item.snapshot.recording_id: item.awaits_start for item in result.observations}
    assert waiting == {id_of(1): False, id_of(2): False, id_of(3): True}


async def test_a_stop_observes_the_status_that_the_list_shows_before_it_stops_the_recording() -> (
    None
):
    stub = StubApi(row(1), known=(known(1, Status.INVOKED),))
    result = await stub.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert [item.snapshot.status for item in result.observations] == [Status.RECORDING] * 2


async def test_a_listed_status_that_is_known_is_no_observation() -> None:
    stub = StubApi(row(1), known=(known(1, Status.RECORDING),))
    result = await stub.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert len(result.observations) == 1  # that of the stop's own answer


async def test_a_refused_resume_observes_the_end_that_is_the_reason() -> None:
    stub, progress = StubApi(known=(known(1, Status.RECORDING),)), Progress()
    stub.over.add(1)
    command = ResumeRecording(id="resume", recording_id=id_of(1))
    with pytest.raises(Ended):
        await stub.execute(command, progress=progress)
    (observation,) = progress.result().observations
    assert observation.snapshot.status is Status.UPLOADED


async def test_a_refused_resume_of_a_meeting_observes_also_the_end_of_an_adopted_recording() -> (
    None
):
    stub, progress = StubApi(row(1, Status.PAUSED)), Progress()
    stub.over.add(1)
    await stub.execute(ResumeRecording(id="resume", meeting_id=MEETING), progress=progress)
    (observation,) = progress.result().observations
    assert observation.snapshot.status is Status.UPLOADED


@pytest.mark.parametrize("has_meeting", [True, False])
async def test_a_stop_of_a_meeting_does_not_adopt_a_recording_that_a_start_is_looking_for(
    has_meeting: bool,
) -> None:
    stub = StubApi(row(1), row(2, kind="composite"), known=(known(3, Status.RECORDING),))
    stub.omitted = () if has_meeting else ("meeting_id",)
    stub.starting = {start_slot("default", MEETING, "track"): T0.timestamp()}
    result = await stub.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert set(result.recording_ids) == {id_of(1), id_of(2), id_of(3)}
    waiting = {item.snapshot.recording_id: item.awaits_start for item in result.observations}
    assert waiting == {id_of(1): True, id_of(2): False, id_of(3): False}


async def test_a_recording_counts_as_stopped_even_if_the_store_fails_after_the_call() -> None:
    async def fail(_slots: Collection[str]) -> dict[str, float]:
        raise StoreUnavailable("away")

    stub, progress = StubApi(), Progress()
    command = StopRecording(id="stop", recording_id=id_of(1))
    with pytest.raises(StoreUnavailable):
        await stub.execute(command, find_starting=fail, progress=progress)
    assert stub.acted_on == [1]
    assert progress.result().recording_ids == (id_of(1),)


@pytest.mark.parametrize(
    ("began", "is_adopted"),
    [("2026-11-01T09:59:50Z", True), ("2026-11-01T10:00:01Z", False), (None, False)],
)
async def test_a_stop_adopts_a_recording_that_began_before_the_call_of_a_start(
    began: str | None, is_adopted: bool
) -> None:
    stub = StubApi(row(1) | {"invoked_time": began})
    stub.starting = {start_slot("default", MEETING, "track"): T0.timestamp()}
    result = await stub.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert [item.awaits_start for item in result.observations] == [not is_adopted]


@pytest.mark.parametrize("command_type", [PauseRecording, ResumeRecording])
async def test_only_a_stop_takes_a_recording_that_has_ended_as_done(
    command_type: type[PauseRecording | ResumeRecording],
) -> None:
    stub = StubApi(known=(known(1, Status.UPLOADED),))
    await stub.execute(StopRecording(id="stop", recording_id=id_of(1)))
    assert stub.acted_on == []
    await stub.execute(command_type(id="other", recording_id=id_of(1)))
    assert stub.acted_on == [1]


# The list shows a recording that the API does not have, or that has just ended


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize(
    ("command_type", "code"),
    [(StopRecording, "not_stoppable"), (PauseRecording, "not_pausable")],
)
async def test_a_command_for_a_meeting_waits_while_the_api_lists_a_recording_that_it_does_not_find(
    command_type: type[StopRecording | PauseRecording], code: str, is_known: bool
) -> None:
    stub = StubApi(row(1), row(2), known=(known(1, Status.RECORDING),) if is_known else ())
    stub.gone = {1}
    text = f"the API lists recording {id_of(1)} as RECORDING, but answers 404"
    with pytest.raises(Contradicted, match=f"{code}: {text}"):
        await stub.execute(command_type(id="c", meeting_id=MEETING))
    assert set(stub.acted_on) == {1, 2}


async def test_a_stop_waits_for_a_new_recording_rather_than_for_one_that_is_only_listed() -> None:
    new = msgspec.structs.replace(known(2, Status.INVOKED), first_seen_at=T0)
    stub = StubApi(row(1), known=(new,))
    stub.gone = {1, 2}
    with pytest.raises(NotYet) as raised:
        await stub.execute(StopRecording(id="stop", meeting_id=MEETING))
    assert type(raised.value) is NotYet


@pytest.mark.parametrize("command_type", [StopRecording, PauseRecording])
async def test_a_recording_that_neither_the_list_nor_the_api_has_does_not_fail_the_command(
    command_type: type[StopRecording | PauseRecording],
) -> None:
    stub = StubApi(row(2), known=(known(1, Status.RECORDING),))
    stub.gone = {1}
    result = await stub.execute(command_type(id="c", meeting_id=MEETING))
    assert result.recording_ids == (id_of(2),)


async def test_a_pause_of_a_meeting_leaves_out_a_recording_that_ends_after_the_list() -> None:
    stub = StubApi(row(1), row(2))
    stub.over = {1}
    result = await stub.execute(PauseRecording(id="pause", meeting_id=MEETING))
    assert result.recording_ids == (id_of(2),)
