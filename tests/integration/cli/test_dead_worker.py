"""A real worker handles replayed dead letters."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.waiting import Eventually
from tests.integration.cli.test_dead_replay import kill_replay_before_ack
from tests.integration.cli_process import CommandLine, RunningProcess, worker_command_line
from tests.integration.dead_letter_queue import BrokerQueues, has, refuse, send


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(speed=20.0)) as running:
        yield running


@pytest.fixture
def cli(
    sandbox: Sandbox, amqp_url: str, names_prefix: str, sqlite_url: str, tmp_path: Path
) -> CommandLine:
    return worker_command_line(amqp_url, names_prefix, sandbox, sqlite_url, tmp_path)


@pytest.fixture
async def outcomes(cli: CommandLine, broker: BrokerQueues) -> AsyncIterator[RunningProcess]:
    """The outcomes, as `tail` prints them."""
    async with cli.running("tail", "--exchange", "results") as running:
        await running.says("Listening on")
        yield running


@pytest.fixture
async def worker(cli: CommandLine, outcomes: RunningProcess) -> AsyncIterator[RunningProcess]:
    async with cli.running("run") as running:
        await running.says("started")
        yield running


async def test_a_repeated_replay_under_a_new_id_says_that_nothing_is_executed_again(
    cli: CommandLine,
    broker: BrokerQueues,
    worker: RunningProcess,
    outcomes: RunningProcess,
    amqp_url: str,
) -> None:
    await broker.bury(start("one"))
    await kill_replay_before_ack(cli, amqp_url, "--new-id")
    first = await next_outcome(outcomes)

    (repeated,) = (await cli("dead", "replay", "one", "--new-id")).lines
    again = await next_outcome(outcomes)

    assert again["id"] == first["id"]
    assert (repeated["new_command_id"], repeated["sent_before"]) == (first["subject"], True)


async def next_outcome(outcomes: RunningProcess) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode(await outcomes.line())
    return event


def start(command_id: str) -> bytes:
    return msgspec.json.encode(
        {"type": "start_track_recording", "id": command_id, "meeting_id": str(uuid.uuid4())}
    )


async def test_a_replayed_letter_that_is_still_wrong_is_dead_again_with_its_history(
    cli: CommandLine,
    broker: BrokerQueues,
    worker: RunningProcess,
    outcomes: RunningProcess,
    eventually: Eventually,
) -> None:
    await send(broker, b'{"type": "sync_recording", "id": "wrong"}')
    first = await next_outcome(outcomes)
    await eventually(lambda: has(broker, 1))

    (before,) = (await cli("dead", "list")).lines
    await cli("dead", "replay", "wrong")
    again = await next_outcome(outcomes)
    await eventually(lambda: has(broker, 1))

    (after,) = (await cli("dead", "list")).lines
    assert again["id"] == first["id"]
    assert (before["attempts"], before["replays"], before["has_outcome"]) == (1, 0, True)
    assert (after["attempts"], after["replays"]) == (2, 1)
    assert (after["first_seen"], after["reason"]) == (before["first_seen"], before["reason"])


async def test_a_command_with_an_outcome_is_executed_only_under_a_new_id(
    cli: CommandLine, broker: BrokerQueues, worker: RunningProcess, outcomes: RunningProcess
) -> None:
    body = start("one")
    await send(broker, body)
    first = await next_outcome(outcomes)

    await broker.bury(body, key="start_track_recording", headers={"x-reason-code": "crashed"})
    await cli("dead", "replay", "one")
    again = await next_outcome(outcomes)
    await broker.bury(body, key="start_track_recording", headers={"x-reason-code": "crashed"})
    (replayed,) = (await cli("dead", "replay", "one", "--new-id")).lines
    second = await next_outcome(outcomes)

    assert again["id"] == first["id"]
    assert replayed["sent_before"] is False
    assert second["data"]["command_id"] == replayed["new_command_id"]
    assert second["data"]["recording_ids"]
    assert second["data"]["recording_ids"] != first["data"]["recording_ids"]


async def test_a_type_that_workers_have_learnt_since_is_executed_under_a_new_id(
    cli: CommandLine,
    broker: BrokerQueues,
    worker: RunningProcess,
    outcomes: RunningProcess,
    eventually: Eventually,
) -> None:
    await send(broker, b'{"type": "start_livestream", "id": "one"}')
    refused = await next_outcome(outcomes)
    await eventually(lambda: has(broker, 1))
    letter = await broker.take("commands.dead")

    # Imitates a newer worker that knows the type.
    known = start("one")
    await broker.bury(known, key="start_livestream", headers=dict(letter.headers))
    (replayed,) = (await cli("dead", "replay", "one", "--new-id")).lines
    second = await next_outcome(outcomes)

    assert (refused["data"]["command_id"], refused["data"]["code"]) == ("one", "unknown_type")
    assert second["type"] == "command.succeeded.v1"
    assert second["data"]["command_id"] == replayed["new_command_id"]


async def test_a_replayed_letter_is_executed_however_old_it_is(
    cli: CommandLine, broker: BrokerQueues, worker: RunningProcess, outcomes: RunningProcess
) -> None:
    await broker.bury(start("old"), headers={"x-first-seen": "2025-01-01T10:00:00Z"})

    await cli("dead", "replay", "old")

    assert (await next_outcome(outcomes))["type"] == "command.succeeded.v1"


async def test_a_letter_of_the_broker_has_an_outcome_and_is_executed_under_a_new_id(
    cli: CommandLine, broker: BrokerQueues, outcomes: RunningProcess
) -> None:
    await send(broker, start("one"))
    await refuse(broker)

    async with cli.running("run") as running:
        await running.says("started")
        first = await next_outcome(outcomes)
        (replayed,) = (await cli("dead", "replay", "one", "--new-id")).lines
        second = await next_outcome(outcomes)

    assert (first["type"], first["data"]["command_id"]) == ("command.failed.v1", "one")
    assert first["data"]["last_error"]["code"] == "dead_lettered"
    assert (second["type"], second["data"]["command_id"]) == (
        "command.succeeded.v1",
        replayed["new_command_id"],
    )
