"""All events that follow from a start carry the publisher's metadata."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.command_bench import START, CommandBench, open_command_bench
from tests.integration.commands.test_crashing_commands import crash_with_claim
from tests.integration.tracking_bench import TrackingBench, open_bench
from worker.broker.messages import Delivery
from worker.domain.recording import StartContext

METADATA: Final = {"case": "2026-0117", "größe": "XL", "empty": ""}
COMPOSITE: Final = "start_recording"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    async with open_command_bench(tmp_path) as opened:
        opened.sandbox.behaviour.change({"invoked_seconds": 0.0})
        yield opened


async def data(bench: CommandBench, command_id: str = "start-1") -> dict[str, Any]:
    found: dict[str, Any] = (await bench.outcome(command_id))["data"]
    return found


def start(bench: CommandBench, **more: Any) -> dict[str, Any]:
    return bench.start(metadata=METADATA, **more)


# Outcomes


async def succeeds(bench: CommandBench) -> None:
    await bench.send(start(bench))


async def succeeds_as_composite(bench: CommandBench) -> None:
    await bench.send(start(bench) | {"type": COMPOSITE})


async def is_refused(bench: CommandBench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=422))
    await bench.send(start(bench))


async def names_no_app(bench: CommandBench) -> None:
    await bench.send(start(bench, app="nobody"))


async def expires(bench: CommandBench) -> None:
    await bench.send(start(bench, deadline=datetime(2020, 1, 1, tzinfo=UTC).isoformat()))


async def becomes_too_old(bench: CommandBench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503))
    await bench.send(start(bench))
    bench.ahead = 4000.0
    await bench.send(start(bench))


async def has_a_misspelt_field(bench: CommandBench) -> None:
    await bench.send(start(bench, user_idz=["somebody"]))


async def lacks_its_meeting(bench: CommandBench) -> None:
    await bench.send({name: value for name, value in start(bench).items() if name != "meeting_id"})


async def has_a_wrong_field_in_an_envelope(bench: CommandBench) -> None:
    event = {"specversion": "1.0", "id": "e", "source": "s", "type": "t"}
    await bench.send(event | {"data": start(bench, max_seconds=0)})


async def is_dead_lettered(bench: CommandBench) -> None:
    body = msgspec.json.encode(start(bench))
    await bench.handler.handle(
        Delivery(body=body, routing_key="x", headers={"x-dead-lettered": "maxlen"})
    )


async def crashes(bench: CommandBench) -> None:
    await crash_with_claim(bench, 6, alone=True)
    await bench.send(start(bench))


async def is_cancelled_while_it_waits(bench: CommandBench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=401))
    await bench.send(start(bench))
    bench.handler = bench.new_handler()
    await bench.send({"type": "stop_recording", "id": "stop", "start_id": "start-1"})


async def is_cancelled_while_it_waits_for_a_session(bench: CommandBench) -> None:
    bench.sandbox.meetings.create(bench.meeting, live=False)
    await bench.send(start(bench, wait_for_session=True))
    bench.handler = bench.new_handler()
    await bench.send({"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting})


async def is_cancelled_by_meeting(bench: CommandBench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=401))
    await bench.send(start(bench))
    bench.handler = bench.new_handler()
    await bench.send({"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting})


async def is_cancelled_in_advance(bench: CommandBench) -> None:
    await bench.send({"type": "stop_recording", "id": "stop", "start_id": "start-1"})
    await bench.send(start(bench))


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (succeeds, "succeeded"),
        (succeeds_as_composite, "succeeded"),
        (is_refused, "rejected"),
        (names_no_app, "rejected"),
        (expires, "expired"),
        (becomes_too_old, "failed"),
        (has_a_misspelt_field, "rejected"),
        (lacks_its_meeting, "rejected"),
        (has_a_wrong_field_in_an_envelope, "rejected"),
        (is_dead_lettered, "failed"),
        (crashes, "failed"),
        (is_cancelled_while_it_waits, "rejected"),
        (is_cancelled_while_it_waits_for_a_session, "rejected"),
        (is_cancelled_by_meeting, "rejected"),
        (is_cancelled_in_advance, "rejected"),
    ],
)
async def test_every_outcome_of_a_start_has_its_metadata(
    bench: CommandBench, end: Callable[[CommandBench], Awaitable[None]], expected: str
) -> None:
    await end(bench)
    outcome = (await bench.outcomes())[0]
    assert outcome["type"] == f"command.{expected}.v1"
    assert outcome["data"]["metadata"] == METADATA


async def test_a_repeat_gets_the_first_metadata_again(bench: CommandBench) -> None:
    await bench.send(start(bench))
    await bench.send(bench.start(metadata={"case": "another"}))
    await bench.send(bench.start())
    found = await bench.outcomes()
    assert [outcome["data"]["metadata"] for outcome in found] == [METADATA] * 3
    assert len({outcome["id"] for outcome in found}) == 1


async def test_only_outcomes_of_starts_with_metadata_have_metadata(
    bench: CommandBench,
) -> None:
    await bench.send(bench.start("plain"))
    await bench.send(start(bench) | {"id": "with", "type": COMPOSITE})
    stop = {"type": "stop_recording", "id": "stop", "start_id": "with"}
    await bench.send(stop)
    await bench.send({"type": "stop_recording", "id": "wrong", "metadata": METADATA})
    await bench.send(bench.start("too-long", metadata={"a": "x" * 513}))
    await bench.send(start(bench, id="nothing") | {"type": "begin"})
    for command_id in ("plain", "stop", "wrong", "too-long", "nothing"):
        assert (await data(bench, command_id))["metadata"] is None


async def test_metadata_is_never_sent_to_the_api(bench: CommandBench) -> None:
    for kind in (START, COMPOSITE):
        await bench.send(start(bench) | {"id": kind, "type": kind})
    assert len(bench.started()) == 2  # the sandbox refuses a field that the API does not have


async def test_metadata_is_in_no_log_line(
    bench: CommandBench, capsys: pytest.CaptureFixture[str]
) -> None:
    await is_cancelled_while_it_waits(bench)
    bench.sandbox.faults.clear()
    await bench.send(start(bench) | {"id": "second"})
    await bench.send(start(bench) | {"id": "wrong", "metadata": {"case": "secret-case" * 100}})
    captured = capsys.readouterr()
    assert "invalid_field" in captured.out + captured.err
    for value in ("2026-0117", "XL", "secret-case"):
        assert value not in captured.out + captured.err


# Events


@pytest.fixture
async def tracking(database_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(database_url) as opened:
        yield opened


@pytest.mark.parametrize("metadata", [METADATA, {}, None])
@pytest.mark.parametrize("kind", ["track", "composite"])
async def test_every_event_of_a_recording_has_the_metadata_of_its_start(
    tracking: TrackingBench, kind: Any, metadata: dict[str, str] | None
) -> None:
    recording_id = await tracking.start(kind, context={"metadata": metadata})
    await tracking.run_due(5)
    await tracking.apply_webhook(recording_id, Status.UPLOADING)
    await tracking.api.control_recording(recording_id, "stop")
    for _ in range(3):
        await tracking.run_due(5)
    events = await tracking.events(recording_id)
    assert {event["type"] for event in events} == {
        "recording.status_changed.v1",
        "recording.file_ready.v1",
        "recording.completed.v1",
    }
    assert [event["data"]["metadata"] for event in events] == [metadata] * len(events)


async def test_an_adopted_recording_has_no_metadata(tracking: TrackingBench) -> None:
    tracking.restart(follow_all=True)
    await tracking.api.start_track_recording({"meeting_id": tracking.meeting})
    await tracking.run_due(2)
    events = await tracking.events()
    assert events
    assert {event["data"]["metadata"] for event in events} == {None}


def test_a_start_without_metadata_stores_no_byte_for_it() -> None:
    stored = msgspec.json.encode(StartContext(start_id="s", has_secrets=False))
    assert stored == b'{"start_id":"s","has_secrets":false}'
