"""The commands that need a broker, as processes: topology, send and tail."""

import asyncio
import signal
import uuid
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_schemas import (
    EventData,
    FileReady,
    Status,
    StatusChanged,
    encode_event,
    exchange_of,
    routing_key,
)
from tests.integration.cli_process import CommandLine, RunningProcess

MEETING = "5f0f1d2e-1111-4222-8333-944455556666"


async def next_command(channel: AbstractChannel, names_prefix: str) -> AbstractIncomingMessage:
    queue = await channel.get_queue(f"{names_prefix}.commands")
    message = await queue.get(timeout=10)
    await message.ack()
    return message


# topology


async def test_a_check_names_the_missing_exchanges_and_queues(
    cli: CommandLine, names_prefix: str
) -> None:
    checked = await cli("topology", "check")

    assert checked.code == 1
    assert {row["state"] for row in checked.lines} == {"missing"}
    assert f"{names_prefix}.commands.dead" in checked.err
    assert "topology declare" in checked.err


async def test_a_check_creates_nothing(cli: CommandLine) -> None:
    await cli("topology", "check")

    assert {row["state"] for row in (await cli("topology", "check")).lines} == {"missing"}


async def test_a_declared_topology_passes_the_check(cli: CommandLine) -> None:
    declared = await cli("topology", "declare")
    checked = await cli("topology", "check")

    assert (declared.code, checked.code) == (0, 0), checked.err
    assert len(checked.lines) == 12
    assert {row["state"] for row in checked.lines} == {"ok"}


async def test_a_queue_with_other_arguments_is_named_with_the_reason(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await channel.declare_queue(f"{names_prefix}.commands", durable=True)

    checked = await cli("topology", "check")
    declared = await cli("topology", "declare")

    (differing,) = [row for row in checked.lines if row["state"] == "differs"]
    assert differing["name"] == f"{names_prefix}.commands"
    assert "inequivalent arg" in differing["detail"]
    assert (checked.code, declared.code) == (1, 1)
    assert "Traceback" not in declared.err
    assert f"{names_prefix}.commands" in declared.err


async def test_an_exchange_of_another_kind_is_named(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await channel.declare_exchange(f"{names_prefix}.status", "fanout", durable=True)

    checked = await cli("topology", "check")

    assert [row["name"] for row in checked.lines if row["state"] == "differs"] == [
        f"{names_prefix}.status"
    ]


async def test_an_unreachable_broker_is_one_line_with_its_address_and_no_password(
    cli: CommandLine,
) -> None:
    checked = await cli("topology", "check", AMQP_URL="amqp://me:hunter2@127.0.0.1:1/")

    assert checked.code == 1
    assert "127.0.0.1:1" in checked.err
    assert "hunter2" not in checked.err
    assert len(checked.err.splitlines()) == 1


async def test_a_wrong_password_is_one_line_that_does_not_show_it(
    cli: CommandLine, amqp_url: str
) -> None:
    wrong = amqp_url.replace("guest:guest", "guest:hunter2")

    checked = await cli("topology", "check", AMQP_URL=wrong)

    assert checked.code == 1
    assert "ACCESS_REFUSED" in checked.err
    assert "hunter2" not in checked.err
    assert len(checked.err.splitlines()) == 1


# send


async def test_a_command_is_not_sent_before_any_worker_declared_the_topology(
    cli: CommandLine,
) -> None:
    sent = await cli("send", "stop_recording", "--meeting-id", MEETING)

    assert sent.code == 1
    assert sent.out == ""
    assert "topology declare" in sent.err
    assert len(sent.err.splitlines()) == 1


async def test_a_command_without_a_bound_queue_is_not_sent(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await channel.declare_exchange(f"{names_prefix}.commands", "topic", durable=True)

    sent = await cli("send", "stop_recording", "--meeting-id", MEETING)

    assert sent.code == 1
    assert "no queue is bound" in sent.err


async def test_a_sent_command_is_in_the_queue_persistent_and_complete(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")

    sent = await cli(
        *("send", "start_track_recording", "--meeting-id", MEETING, "--prefix", "team_call"),
        *("--user-id", "alice", "--user-id", "bob", "--id", "start-1"),
    )

    message = await next_command(channel, names_prefix)
    assert sent.lines == [{"command_id": "start-1", "command_type": "start_track_recording"}]
    assert msgspec.json.decode(message.body) == {
        "type": "start_track_recording",
        "id": "start-1",
        "meeting_id": MEETING,
        "user_ids": ["alice", "bob"],
        "layers": {"default": {"file_name_prefix": "team_call"}},
    }
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.content_type == "application/json"
    assert message.routing_key == "start_track_recording"
    assert (message.message_id, message.reply_to) == ("start-1", None)


async def test_a_command_without_an_id_gets_one_that_is_printed(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")

    sent = await cli("send", "-f", "-", stdin=msgspec.json.encode({
        "type": "sync_recording", "recording_id": MEETING,
    }))  # fmt: skip

    (printed,) = sent.lines
    message = await next_command(channel, names_prefix)
    assert str(uuid.UUID(printed["command_id"])) == printed["command_id"]
    assert msgspec.json.decode(message.body)["id"] == printed["command_id"]


async def test_a_wait_without_an_outcome_ends_with_exit_code_6_and_the_id(cli: CommandLine) -> None:
    await cli("topology", "declare")

    waited = await cli(
        *("send", "sync_recording", "--recording-id", MEETING, "--id", "sync-1"),
        *("--wait", "--timeout", "0.3"),
    )

    assert waited.code == 6
    assert waited.out == ""
    assert "Sent sync_recording sync-1" in waited.err
    assert "--timeout" in waited.err


async def test_a_wait_for_a_misspelt_start_shows_how_to_look_for_the_start(
    cli: CommandLine,
) -> None:
    await cli("topology", "declare")
    sent = await cli(
        "send", "stop_recording", "--start-id", "strat-1", "--wait", "--timeout", "0.1"
    )
    assert sent.code == 6
    assert "recordings show strat-1" in sent.err


async def test_ctrl_c_during_a_wait_ends_with_exit_code_130_and_no_traceback(
    cli: CommandLine,
) -> None:
    await cli("topology", "declare")
    async with cli.running(
        "send", "sync_recording", "--recording-id", MEETING, "--wait"
    ) as waiting:
        await waiting.says("Sent sync_recording")
        waiting.signal(signal.SIGINT)
        ended = await waiting.end()

    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "")


async def test_a_command_above_the_size_limit_is_not_sent(cli: CommandLine) -> None:
    sent = await cli(
        *("send", "start_recording", "--meeting-id", MEETING),
        *("--field", "url=https://example.test/" + "x" * 2000),
        WORKER_MAX_COMMAND_BYTES="1024",
    )

    assert sent.code == 2
    assert "WORKER_MAX_COMMAND_BYTES" in sent.err


# tail


def status_changed(recording_id: str, status: Status = Status.RECORDING) -> StatusChanged:
    now = datetime.now(UTC)
    return StatusChanged(
        recording_id=recording_id,
        meeting_id=MEETING,
        session_id=None,
        kind="track",
        status=status,
        previous_status=None,
        observed_by="command",
        observed_at=now,
        invoked_time=now,
        started_time=None,
        stopped_time=None,
        recording_duration=None,
        output_file_name=None,
        start_reason=None,
        stop_reason=None,
        start_id=None,
        error=None,
        metadata=None,
    )


def file_ready(recording_id: str) -> FileReady:
    return FileReady(
        recording_id=recording_id,
        meeting_id=MEETING,
        session_id=None,
        kind="track",
        layer="default",
        file_name="a_\x1b[2Jb.webm",
        user_id="alice",
        peer_id=None,
        custom_participant_id=None,
        stream_kind="peer",
        media_kind="audio",
        recorded_at=None,
        download_url="https://files.test/a.webm?X-Signature=hunter2",
        download_url_expiry=None,
        file_index=1,
        file_count=1,
        storage=None,
        start_id=None,
        participant=None,
        metadata=None,
    )


async def publish(channel: AbstractChannel, names_prefix: str, *events: EventData) -> None:
    for data in events:
        body = encode_event(
            data,
            id=str(uuid.uuid4()),
            source="test",
            subject="subject",
            time=datetime.now(UTC),
            sequence="1",
        )
        exchange = await channel.get_exchange(f"{names_prefix}.{exchange_of(data)}")
        await exchange.publish(aio_pika.Message(body), routing_key(data), timeout=10)


async def wait_until_listening(tail: RunningProcess) -> None:
    await tail.says("Listening on")


async def test_a_pipe_gets_events_as_json_lines_as_they_are_published(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")
    async with cli.running("tail", "--count", "2") as tail:
        await wait_until_listening(tail)
        await publish(channel, names_prefix, status_changed("r-1"))
        first = msgspec.json.decode(await tail.line())
        await publish(channel, names_prefix, file_ready("r-1"))
        ended = await tail.end()

    assert first["data"]["recording_id"] == "r-1"
    assert ended.code == 0
    assert ended.lines[0]["data"]["download_url"].endswith("?X-Signature=hunter2")


async def test_only_events_that_match_the_filter_are_shown(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")
    filters = ("--recording-id", "r-2", "--type", "recording.file_ready", "--meeting-id", MEETING)
    async with cli.running("tail", *filters, "--count", "1") as tail:
        await wait_until_listening(tail)
        await publish(
            channel,
            names_prefix,
            *(file_ready("r-1"), status_changed("r-2"), file_ready("r-2")),
        )
        (shown,) = (await tail.end()).lines

    assert (shown["type"], shown["data"]["recording_id"]) == ("recording.file_ready.v1", "r-2")


async def test_text_has_neither_presigned_query_strings_nor_terminal_escapes(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")
    async with cli.running("tail", "--no-json", "--count", "1") as tail:
        await wait_until_listening(tail)
        await publish(channel, names_prefix, file_ready("r-1"))
        ended = await tail.end()

    assert "file 1/1" in ended.out
    assert "https://files.test/a.webm" in ended.out
    assert "hunter2" not in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_tail_cleanly(cli: CommandLine, number: signal.Signals) -> None:
    await cli("topology", "declare")
    async with cli.running("tail") as tail:
        await wait_until_listening(tail)
        tail.signal(number)
        ended = await tail.end()

    assert (ended.code, ended.out, ended.err) == (0, "", "")


async def test_tail_ends_after_the_given_time(cli: CommandLine) -> None:
    await cli("topology", "declare")

    ended = await cli("tail", "--for", "0.1")

    assert (ended.code, ended.out) == (0, "")


async def test_a_message_that_is_no_event_is_skipped_and_reported(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")
    async with cli.running("tail", "--count", "1") as tail:
        await wait_until_listening(tail)
        exchange = await channel.get_exchange(f"{names_prefix}.status")
        await exchange.publish(aio_pika.Message(b"\xff"), "track.uploaded", timeout=10)
        await publish(channel, names_prefix, status_changed("r-1"))
        ended = await tail.end()

    assert len(ended.lines) == 1
    assert "track.uploaded" in ended.err


async def test_tail_without_exchanges_prints_advice(cli: CommandLine) -> None:
    ended = await cli("tail")

    assert ended.code == 1
    assert "topology declare" in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_the_queue_of_tail_is_removed_with_it(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str, rabbitmq: object
) -> None:
    await cli("topology", "declare")
    async with cli.running("tail", "--exchange", "status") as tail:
        await wait_until_listening(tail)
        tail.signal(signal.SIGTERM)
        await tail.end()

    # No queue is bound any more: the broker returns a mandatory message.
    exchange = await channel.get_exchange(f"{names_prefix}.status")
    returned = await exchange.publish(
        aio_pika.Message(b"{}"), "track.uploaded", mandatory=True, timeout=10
    )
    assert type(returned).__name__ == "DeliveredMessage"


# the broker becomes unavailable


async def test_a_lost_broker_ends_tail_and_send_with_one_line_each(
    private_rabbitmq: RabbitMQNode, tmp_path: Path
) -> None:
    cli = CommandLine({"AMQP_URL": private_rabbitmq.amqp_url}, tmp_path)
    await cli("topology", "declare")
    command = ("sync_recording", "--recording-id", MEETING, "--id", "sync-1")
    async with cli.running("tail") as tail, cli.running("send", *command, "--wait") as waiting:
        await wait_until_listening(tail)
        await waiting.says("Sent")
        await asyncio.to_thread(private_rabbitmq.kill)
        listened, waited = await tail.end(), await waiting.end()

    assert (listened.code, waited.code) == (1, 1)
    assert len(listened.err.splitlines()) == len(waited.err.splitlines()) == 1
    assert "--id sync-1" in waited.err
