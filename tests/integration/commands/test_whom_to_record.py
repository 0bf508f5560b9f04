"""A track start records exactly the people that it names, by participant ids or by custom ids."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.meetings import participant_ids
from recording_schemas import StartTrackRecording
from tests.integration.command_bench import START, CommandBench, open_command_bench
from tests.operation_contexts import operation_context
from worker.broker.messages import Ack, Delivery, Retry
from worker.commands.operations import execute
from worker.commands.operations.people import PeopleFinder
from worker.domain.errors import OutcomeUnknown, Unavailable
from worker.domain.meeting_participants import People
from worker.domain.recording import StartContext
from worker.realtimekit.participant_directory import ParticipantDirectory
from worker.store.parking import LiveSessions
from worker.store.queries import RecordingsFilter

LIST = "meeting_participants"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as bench:
        bench.sandbox.meetings.create(bench.meeting, participants=["ann", "bob", "bob", "cleo"])
        yield bench


def ids(bench: CommandBench) -> tuple[str, ...]:
    """The participant ids of ann, both bobs and cleo."""
    return participant_ids(bench.meeting, 4)


async def stored_start(bench: CommandBench) -> StartContext:
    (recording,) = await bench.store.recordings(RecordingsFilter())
    assert recording.start is not None
    return recording.start


async def rejected(bench: CommandBench, command: dict[str, Any]) -> dict[str, Any]:
    """The data of a command's rejection, which may come only at the second attempt."""
    settlement = await bench.send(command)
    if isinstance(settlement, Retry):
        assert settlement.code == "unknown_participant"
        bench.pass_time(settlement.delay_seconds)
        assert await bench.send(command) == Ack()
    outcome = await bench.outcome(command["id"])
    assert outcome["type"] == "command.rejected.v1"
    assert bench.started() == []
    data: dict[str, Any] = outcome["data"]
    return data


async def test_custom_ids_are_recorded_as_all_participants_that_have_them(
    bench: CommandBench,
) -> None:
    ann, bob, other_bob, cleo = ids(bench)
    command = bench.start(custom_participant_ids=["bob", "cleo"], user_ids=[ann])
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.user_ids == (ann, bob, other_bob, cleo)
    start = await stored_start(bench)
    assert start.user_ids == (ann, bob, other_bob, cleo)
    assert start.custom_ids == {ann: "ann", bob: "bob", other_bob: "bob", cleo: "cleo"}


async def test_the_custom_ids_of_people_named_by_participant_id_are_kept_too(
    bench: CommandBench,
) -> None:
    ann = ids(bench)[0]
    assert await bench.send(bench.start(user_ids=[ann])) == Ack()
    start = await stored_start(bench)
    assert (start.user_ids, start.custom_ids) == ((ann,), {ann: "ann"})


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"custom_participant_ids": ["ann", "nobody"]}, "custom_participant_ids[1]", "none of"),
        ({"custom_participant_ids": ["{ann}"]}, "custom_participant_ids[0]", "`user_ids`"),
        ({"user_ids": ["ann"]}, "user_ids[0]", "`custom_participant_ids`"),
        ({"user_ids": ["{ann}", "nobody"]}, "user_ids[1]", "none of"),
        ({"user_ids": ["nobody"], "custom_participant_ids": ["ann"]}, "user_ids[0]", "none of"),
    ],
)
async def test_an_id_that_nobody_has_is_rejected_with_its_field_and_nothing_is_started(
    bench: CommandBench, fields: dict[str, list[str]], field: str, words: str
) -> None:
    known = {"{ann}": ids(bench)[0]}
    id_fields: dict[str, Any] = {
        name: [known.get(word, word) for word in values] for name, values in fields.items()
    }
    data = await rejected(bench, bench.start(**id_fields))
    assert (data["code"], data["field"]) == ("unknown_participant", field)
    assert words in data["message"]
    assert bench.requests(START) == []


async def test_an_id_in_the_wrong_list_is_refused_at_once(bench: CommandBench) -> None:
    for number, fields in enumerate(
        ({"user_ids": ["ann"]}, {"custom_participant_ids": [ids(bench)[0]]})
    ):
        assert await bench.send(bench.start(f"start-{number}", **fields)) == Ack()
        outcome = await bench.outcome(f"start-{number}")
        assert outcome["data"]["code"] == "unknown_participant"
    assert len(bench.requests(LIST)) == 2


async def test_more_than_a_hundred_people_are_rejected(bench: CommandBench) -> None:
    crowd = str(uuid.uuid4())
    bench.sandbox.meetings.create(crowd, participants=["crowd"] * 101)
    command = bench.start(meeting_id=crowd, custom_participant_ids=["crowd"])
    data = await rejected(bench, command)
    assert (data["code"], data["field"]) == ("too_many_participants", "custom_participant_ids")


async def rejected_late(bench: CommandBench, command: dict[str, Any]) -> dict[str, Any]:
    settlement = await bench.send(command)
    assert isinstance(settlement, Retry)
    bench.pass_time(settlement.delay_seconds)
    assert await bench.send(command) == Ack()
    data: dict[str, Any] = (await bench.outcome(command["id"]))["data"]
    return data


async def test_exactly_a_hundred_people_are_recorded(bench: CommandBench) -> None:
    crowd = str(uuid.uuid4())
    bench.sandbox.meetings.create(crowd, participants=["crowd"] * 99 + ["ann"])
    command = bench.start(meeting_id=crowd, custom_participant_ids=["crowd", "ann"])
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.user_ids == participant_ids(crowd, 100)


async def test_without_ids_everybody_is_recorded_and_the_participants_are_not_read(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start())
    await bench.send(bench.start("start-2", type="start_recording"))
    assert [started.user_ids for started in bench.started()] == [None, None]
    assert bench.requests(LIST) == []


async def test_without_the_check_participant_ids_are_sent_unread_and_custom_ids_are_resolved(
    bench: CommandBench,
) -> None:
    bench.handler = bench.new_handler(check_user_ids=False)
    assert await bench.send(bench.start(user_ids=["anybody"])) == Ack()
    assert bench.requests(LIST) == []
    command = bench.start("start-2", user_ids=["anybody"], custom_participant_ids=["ann"])
    assert await bench.send(command) == Ack()
    assert [started.user_ids for started in bench.started()] == [
        ("anybody",),
        ("anybody", ids(bench)[0]),
    ]
    data = await rejected_late(bench, bench.start("start-3", custom_participant_ids=["nobody"]))
    assert data["code"] == "unknown_participant"


async def test_a_burst_of_starts_for_one_meeting_reads_its_250_participants_once(
    bench: CommandBench,
) -> None:
    crowd = str(uuid.uuid4())
    bench.sandbox.meetings.create(crowd, participants=250)
    commands = [
        bench.start(
            f"start-{number}",
            meeting_id=crowd,
            custom_participant_ids=[f"participant-{number * 10}"],
        )
        for number in range(1, 26)
    ]
    settlements = await asyncio.gather(*map(bench.send, commands))
    assert set(settlements) == {Ack()}
    assert len(bench.requests(LIST)) == 3
    assert {started.user_ids for started in bench.started()} == {
        (participant_ids(crowd, 250)[number * 10 - 1],) for number in range(1, 26)
    }


async def test_somebody_added_after_the_last_read_is_found_by_another_read(
    bench: CommandBench,
) -> None:
    assert await bench.send(bench.start(custom_participant_ids=["ann"])) == Ack()
    dora = bench.sandbox.meetings.register(bench.meeting, "dora")
    for command_id, field, wanted_id in (
        ("start-2", "custom_participant_ids", "dora"),
        ("start-3", "user_ids", bench.sandbox.meetings.register(bench.meeting, "erik").id),
    ):
        assert await bench.send(bench.start(command_id, **{field: [wanted_id]})) == Ack()
    assert bench.started()[1].user_ids == (dora.id,)


async def test_somebody_who_is_listed_late_is_recorded_and_not_refused(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"participant_lag_seconds": 3})
    bench.pass_time(3)
    dora = bench.sandbox.meetings.register(bench.meeting, "dora")
    command = bench.start(custom_participant_ids=["dora"])
    settlement = await bench.send(command)
    assert isinstance(settlement, Retry)
    bench.pass_time(settlement.delay_seconds)
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.user_ids == (dora.id,)


async def test_an_unknown_meeting_is_rejected_and_nothing_is_started(bench: CommandBench) -> None:
    bench.sandbox.behaviour.change({"strict": True})
    bench.sandbox.tokens.allow("token")
    command = bench.start(meeting_id=str(uuid.uuid4()), custom_participant_ids=["ann"])
    data = await rejected(bench, command)
    assert (data["code"], data["http_status"]) == ("not_found", 404)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="refuse", status=429, envelope="cloudflare", operation=LIST),
        Fault(kind="refuse", status=503, operation=LIST),
        Fault(kind="refuse", status=403, operation=LIST),
        Fault(kind="reset", operation=LIST),
        Fault(kind="lost_half", operation=LIST),
        Fault(kind="lost_hang", seconds=60, operation=LIST),
        Fault(kind="lost_odd", operation=LIST),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
async def test_a_start_whose_participants_cannot_be_read_was_certainly_not_executed(
    bench: CommandBench, fault: Fault
) -> None:
    bench.sandbox.faults.add(fault)
    command = bench.start(custom_participant_ids=["ann"])
    assert isinstance(await bench.send_with_short_timeout(command), Retry)
    bench.sandbox.faults.clear()
    another = bench.start("start-2")
    assert await bench.send(another) == Ack()  # the slot of the meeting is free
    assert await bench.send(command) == Ack()
    assert bench.requests("list_recordings") == []
    assert (await bench.outcome())["type"] == "command.succeeded.v1"


async def test_a_start_whose_answer_was_lost_keeps_the_people_that_it_asked_for(
    bench: CommandBench,
) -> None:
    ann = ids(bench)[0]
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    command = bench.start(custom_participant_ids=["ann"])
    assert isinstance(await bench.send(command), Retry)
    bench.sandbox.meetings.register(bench.meeting, "ann")
    bench.sandbox.meetings.remove(bench.meeting, ann)
    bench.handler = bench.new_handler()
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.user_ids == (ann,)
    start = await stored_start(bench)
    assert (start.user_ids, start.custom_ids) == ((ann,), {ann: "ann"})
    assert len(bench.requests(LIST)) == 1


async def test_a_call_that_settled_without_a_recording_is_sent_again_for_the_same_people(
    bench: CommandBench,
) -> None:
    ann = ids(bench)[0]
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    command = bench.start(custom_participant_ids=["ann"])
    assert isinstance(await bench.send(command), Retry)
    bench.sandbox.meetings.register(bench.meeting, "ann")
    bench.pass_time(40)
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.user_ids == (ann,)


async def test_people_are_looked_up_again_after_a_call_that_was_certainly_not_executed(
    bench: CommandBench,
) -> None:
    ann = ids(bench)[0]
    bench.sandbox.faults.add(
        Fault(kind="refuse", status=429, envelope="realtimekit", operation=START, count=1)
    )
    command = bench.start(custom_participant_ids=["ann"])
    assert isinstance(await bench.send(command), Retry)
    other_ann = bench.sandbox.meetings.register(bench.meeting, "ann").id
    bench.handler = bench.new_handler()
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.user_ids == (ann, other_ann)


@pytest.mark.parametrize(("operation", "failure"), [(LIST, Unavailable), (START, OutcomeUnknown)])
async def test_an_attempt_without_time_left_may_have_called_only_after_its_read(
    bench: CommandBench, operation: str, failure: type[Exception]
) -> None:
    bench.sandbox.faults.add(Fault(kind="slow", operation=operation, seconds=30))
    command = StartTrackRecording(id="s", meeting_id=bench.meeting, custom_participant_ids=("ann",))

    async def keep(_people: People) -> None:
        """Keep nothing: this test needs no state."""

    directory = ParticipantDirectory(bench.api)
    context = operation_context(
        bench.api,
        "s",
        now=lambda: datetime.now(UTC),
        people=PeopleFinder(
            directory=directory,
            arrived_at=directory.now(),
            came_at=time.time(),
            now=time.time,
            check_user_ids=True,
            asked_before=None,
            keep=keep,
        ),
    )
    with pytest.raises(failure):
        await execute(command, context, timeout=1.0)
    assert len(bench.requests(operation)) == 1


async def wake_waiting_start(bench: CommandBench, *added: str, **fields: Any) -> Delivery:
    """A start that waited for hours for its session, as it is delivered when the session begins.

    The participants of `added` join with the session.
    """
    meeting = str(uuid.uuid4())
    bench.sandbox.meetings.create(meeting, participants=["host"], live=False)
    command = bench.start(meeting_id=meeting, wait_for_session=True, **fields)
    assert await bench.send(command) == Ack()
    assert bench.requests(LIST) == []
    bench.pass_time(7200)
    for custom_id in added:
        bench.sandbox.meetings.register(meeting, custom_id)
    bench.sandbox.meetings.join(meeting, participant_ids(meeting, 1)[0])
    await bench.store.make_starts_due(LiveSessions(app="default", meeting_ids={meeting}))
    (delivery,) = await bench.take_due()
    return delivery


async def test_a_start_that_waits_for_its_session_means_the_people_when_it_begins(
    bench: CommandBench,
) -> None:
    bench.sandbox.behaviour.change({"participant_lag_seconds": 3})
    delivery = await wake_waiting_start(bench, "late", custom_participant_ids=["late"])
    settlement = await bench.handler.handle(delivery)
    assert isinstance(settlement, Retry), "the list may lag behind those who came with the session"
    bench.pass_time(settlement.delay_seconds)
    assert await bench.handler.handle(delivery) == Ack()
    (started,) = bench.started()
    assert started.user_ids == participant_ids(started.meeting_id, 2)[1:]


async def test_a_start_that_waited_is_refused_if_nobody_has_the_id_when_its_session_begins(
    bench: CommandBench,
) -> None:
    delivery = await wake_waiting_start(bench, custom_participant_ids=["nobody"])
    settlement = await bench.handler.handle(delivery)
    assert isinstance(settlement, Retry)
    bench.pass_time(settlement.delay_seconds)
    assert await bench.handler.handle(delivery) == Ack()
    assert (await bench.outcome())["data"]["code"] == "unknown_participant"


async def test_a_repeat_of_a_rejected_start_is_answered_without_another_read(
    bench: CommandBench,
) -> None:
    command = bench.start(custom_participant_ids=["nobody"])
    await rejected(bench, command)
    reads = len(bench.requests(LIST))
    bench.sandbox.meetings.register(bench.meeting, "nobody")
    assert await bench.send(command) == Ack()
    first, second = await bench.outcomes()
    assert first["data"] == second["data"]
    assert len(bench.requests(LIST)) == reads


async def test_a_meeting_id_in_capitals_shares_the_read(bench: CommandBench) -> None:
    for command_id, meeting in (("start-1", bench.meeting), ("start-2", bench.meeting.upper())):
        command = bench.start(command_id, meeting_id=meeting, custom_participant_ids=["ann"])
        assert await bench.send(command) == Ack()
    assert len(bench.requests(LIST)) == 1
