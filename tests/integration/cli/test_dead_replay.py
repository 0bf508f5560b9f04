"""`recording-worker dead replay` as a process, on a real dead-letter queue."""

import signal
import uuid
from datetime import UTC, datetime

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractIncomingMessage

from recording_sandbox.waiting import Eventually
from tests.integration.cli.breaking_amqp_proxy import (
    BASIC_ACK,
    BASIC_PUBLISH,
    break_connection_at,
)
from tests.integration.cli_process import CommandLine
from tests.integration.dead_letter_queue import (
    FIRST_SEEN,
    BrokerQueues,
    column,
    has,
    refuse,
    send,
    send_without_id,
    sync,
)


async def test_a_replayed_letter_keeps_its_bytes_routing_key_and_history(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    body = sync("one").replace(b",", b" ,\n")
    await broker.bury(
        body,
        message_id="m",
        correlation_id="asker",
        reply_to="answers",
        type="sync_recording",
        app_id="billing",
        headers={"traceparent": "00-1-2-00"},
    )

    replayed = await cli("dead", "replay", "one")
    copy = await broker.take()

    assert replayed.code == 0, replayed.err
    assert (replayed.lines[0]["result"], await broker.waiting()) == ("replayed", 0)
    assert (copy.body, copy.routing_key) == (body, "sync_recording")
    assert (copy.message_id, copy.correlation_id, copy.reply_to) == ("m", "asker", "answers")
    assert (copy.type, copy.app_id) == ("sync_recording", "billing")
    assert copy.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert copy.headers["traceparent"] == "00-1-2-00"
    former = copy.headers["x-replay-attempts"], copy.headers["x-replay-first-seen"]
    assert former == (1, FIRST_SEEN)
    assert not {"x-attempts", "x-first-seen"} & copy.headers.keys(), "its age starts again"
    assert copy.headers["x-reason-code"] == "invalid_field"
    assert copy.headers["x-replays"] == 1
    replayed_at = datetime.fromisoformat(str(copy.headers["x-replayed-at"]))
    assert abs((datetime.now(UTC) - replayed_at).total_seconds()) < 600


async def test_a_replay_increases_the_count_of_replays(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury(sync("one"), headers={"x-replays": 2})

    await cli("dead", "replay", "--all")

    assert (await broker.take()).headers["x-replays"] == 3


async def test_a_replayed_letter_has_no_death_headers_of_the_broker(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await send(broker, sync("one"))
    await refuse(broker)

    await cli("dead", "replay", "--reason", "rejected")
    copy = await broker.take()

    assert copy.routing_key == "sync_recording"
    assert not [name for name in copy.headers if "death" in name]


async def test_only_selected_letters_are_replayed_and_the_others_keep_their_order(
    cli: CommandLine, broker: BrokerQueues, eventually: Eventually
) -> None:
    await broker.bury_commands("a", "b", "c", "d", "e")

    replayed = await cli("dead", "replay", "b", "d")

    assert column(replayed.lines, "letter") == ["b", "d"]
    await eventually(lambda: has(broker, 2, "commands"))
    assert await broker.dead() == ["a", "c", "e"]


async def test_replay_takes_the_oldest_letters_up_to_the_limit(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("a", "b", "c")

    await cli("dead", "replay", "--all", "--limit", "2")

    assert await broker.dead() == ["c"]


@pytest.mark.parametrize("subcommand", ["replay", "drop"])
async def test_a_dry_run_reports_and_changes_nothing(
    cli: CommandLine, broker: BrokerQueues, subcommand: str
) -> None:
    await broker.bury_commands("a", "b")

    ended = await cli("dead", subcommand, "--all", "--dry-run")

    assert column(ended.lines, "result") == [f"would_{subcommand}"] * 2
    assert (ended.code, await broker.waiting("commands")) == (0, 0)
    assert await broker.dead() == ["a", "b"]


async def test_a_letter_without_a_queue_to_go_to_stays(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("a", "b")
    commands = await broker.channel.get_queue(f"{broker.prefix}.commands")
    await commands.unbind(f"{broker.prefix}.commands", "#")

    replayed = await cli("dead", "replay", "--all")

    assert (replayed.code, replayed.out) == (1, "")
    assert "no queue is bound" in replayed.err
    assert await broker.dead() == ["a", "b"]


async def test_a_letter_that_a_full_queue_refuses_stays(
    cli: CommandLine, broker: BrokerQueues, eventually: Eventually
) -> None:
    await broker.bury_commands("a", "b")
    await broker.fill_commands()

    replayed = await cli("dead", "replay", "--all")

    assert (replayed.code, replayed.out) == (1, "")
    assert "not confirmed" in replayed.err
    assert await broker.dead() == ["a", "b"]


async def test_a_letter_that_is_dead_lettered_again_at_once_is_replayed_once(
    cli: CommandLine, broker: BrokerQueues, eventually: Eventually
) -> None:
    await broker.bury_commands("a", "b")
    buried: list[str] = []

    async def bury(message: AbstractIncomingMessage) -> None:
        buried.append(str(message.headers["x-replays"]))
        await message.reject(requeue=False)

    commands = await broker.channel.get_queue(f"{broker.prefix}.commands")
    tag = await commands.consume(bury)
    replayed = await cli("dead", "replay", "--all")
    await eventually(lambda: len(buried) >= 2)
    await commands.cancel(tag)

    assert len(replayed.lines) == 2
    assert buried == ["1", "1"]


async def test_a_new_id_changes_only_the_id_in_the_body(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury(
        b'{"id": "one", "type":"sync_recording","odd": 1.00, "n": 12345678901234567890}'
    )

    replayed = await cli("dead", "replay", "one", "--new-id")
    copy = await broker.take()

    new_id = replayed.lines[0]["new_command_id"]
    fields = msgspec.json.decode(copy.body, type=dict[str, msgspec.Raw])
    assert str(uuid.UUID(new_id)) == new_id
    assert bytes(fields["id"]) == msgspec.json.encode(new_id)
    assert (bytes(fields["odd"]), bytes(fields["n"])) == (b"1.00", b"12345678901234567890")
    assert (copy.message_id, copy.headers["x-replay-of"]) == (new_id, "one")


async def test_in_a_cloudevent_the_command_gets_the_new_id(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    event = {"specversion": "1.0", "id": "event", "source": "/s", "type": "t"}
    await broker.bury(msgspec.json.encode({**event, "data": {"type": "sync_recording"}}))

    replayed = await cli("dead", "replay", "event", "--new-id")
    body = msgspec.json.decode((await broker.take()).body)

    assert body["id"] == "event"
    assert body["data"]["id"] == replayed.lines[0]["new_command_id"]


@pytest.mark.parametrize("body", [b"[1]", b"{", b"\xff", b'{"specversion": "1.0", "data": 1}'])
async def test_a_body_that_is_no_json_object_gets_no_new_id_and_stays(
    cli: CommandLine, broker: BrokerQueues, body: bytes
) -> None:
    await broker.bury(body, message_id="garbled")
    await broker.bury_commands("one")

    replayed = await cli("dead", "replay", "--all", "--new-id")

    assert replayed.code == 1
    assert column(replayed.lines, "result") == ["refused", "replayed"]
    assert "JSON object" in replayed.lines[0]["detail"]
    assert (await broker.take("commands.dead")).body == body


async def test_replaying_a_letter_with_an_outcome_suggests_a_new_id(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("one")

    replayed = await cli("dead", "replay", "one")

    assert "--new-id" in replayed.err


async def test_the_copy_of_a_letter_without_an_id_has_a_stable_message_id(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await send_without_id(broker, b"not json")
    await refuse(broker)

    (listed,) = (await cli("dead", "list")).lines
    await cli("dead", "replay", "--all")

    assert listed["command_id"] is None
    assert str((await broker.take()).message_id).startswith(listed["letter"])


async def kill_replay_before_ack(cli: CommandLine, amqp_url: str, *flags: str) -> None:
    """Replay the letter `one`, and kill the command before it acknowledges the letter."""
    async with (
        break_connection_at(amqp_url, BASIC_ACK) as (url, cut),
        cli.running("dead", "replay", "one", *flags, environ={"AMQP_URL": url}) as running,
    ):
        await cut.reached()
        running.signal(signal.SIGKILL)
        await running.end()


async def test_a_kill_before_the_acknowledgement_leaves_the_letter_and_its_copy(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, eventually: Eventually
) -> None:
    await broker.bury_commands("one")
    await kill_replay_before_ack(cli, amqp_url)

    await eventually(lambda: has(broker, 1))
    assert (await broker.take()).body == sync("one")
    assert await broker.dead() == ["one"]


async def test_a_replay_under_a_new_id_that_was_killed_has_the_same_new_id_when_repeated(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, eventually: Eventually
) -> None:
    await broker.bury_commands("one")
    await kill_replay_before_ack(cli, amqp_url, "--new-id")
    await eventually(lambda: has(broker, 1))

    repeated = await cli("dead", "replay", "one", "--new-id")

    copies = [await broker.take(), await broker.take()]
    new_id = repeated.lines[0]["new_command_id"]
    assert [copy.message_id for copy in copies] == [new_id, new_id], "it is executed once"
    assert repeated.lines[0]["sent_before"] is None
    assert "is executed once. The state, which shows that, cannot be read: there is no" in (
        repeated.err
    )


async def test_a_connection_lost_at_the_publish_leaves_the_letter(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, eventually: Eventually
) -> None:
    await broker.bury_commands("one", "two")

    async with break_connection_at(amqp_url, BASIC_PUBLISH, hang_up=True) as (url, _):
        replayed = await cli("dead", "replay", "--all", AMQP_URL=url)

    await eventually(lambda: has(broker, 2))
    assert (replayed.code, replayed.out) == (1, "")
    assert "Traceback" not in replayed.err
    assert set(await broker.dead()) == {"one", "two"}


async def test_a_connection_lost_at_the_acknowledgement_loses_nothing(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, eventually: Eventually
) -> None:
    await broker.bury_commands("one", "two")

    async with break_connection_at(amqp_url, BASIC_ACK, hang_up=True) as (url, _):
        replayed = await cli("dead", "replay", "--all", AMQP_URL=url)

    await eventually(lambda: has(broker, 2))
    assert replayed.code == 1
    assert "Traceback" not in replayed.err
    assert (await broker.take()).body == sync("one")
