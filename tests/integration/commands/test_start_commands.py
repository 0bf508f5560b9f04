"""A start command starts exactly one recording."""

import asyncio

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import START, CommandBench
from worker.broker.messages import Ack, Retry
from worker.store.outbox_marks import PageMarks


async def test_a_start_starts_one_recording_and_its_outcome_has_the_id(bench: CommandBench) -> None:
    assert await bench.send(bench.start()) == Ack()
    outcome = await bench.outcome()
    assert outcome["routing_key"] == "start_track_recording.succeeded"
    assert outcome["data"]["recording_ids"] == [entry.recording_id for entry in bench.started()]


async def test_a_repeated_command_id_starts_nothing_and_publishes_the_same_outcome(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start())
    (first,) = waiting = await bench.outcomes()
    await bench.store.mark_page(
        PageMarks(sent=[event.position for event in await bench.store.unsent(10)]), 1.0
    )
    another = bench.start(user_ids=["somebody-else"])
    assert await bench.send(another) == Ack()
    assert await bench.outcomes() == waiting
    assert len(bench.started()) == 1
    assert first["data"]["command_id"] == "start-1"


async def test_a_burst_of_the_same_command_starts_one_recording(bench: CommandBench) -> None:
    settlements = await asyncio.gather(*(bench.send(bench.start()) for _ in range(20)))
    assert set(settlements) == {Ack()}
    assert len(bench.started()) == 1


async def test_a_composite_start_starts_a_composite_recording(bench: CommandBench) -> None:
    command = bench.start(type="start_recording", max_seconds=600, file_name_prefix="weekly")
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.kind == "composite"
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


async def test_a_start_waits_while_another_start_of_the_meeting_is_in_doubt(
    bench: CommandBench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start("a"))
    assert isinstance(await bench.send(bench.start("b")), Retry)
    assert len(bench.started()) == 1
    await bench.send(bench.start("a"))
    assert await bench.send(bench.start("b")) == Ack()
    assert len(bench.started()) == 2
