"""`recording-worker dead` as a process, on a real dead-letter queue."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractIncomingMessage

from sandbox.waiting import Eventually
from tests.integration.breaking_amqp_proxy import (
    BASIC_ACK,
    BASIC_NACK,
    BASIC_PUBLISH,
    break_connection_at,
)
from tests.integration.cli_process import CommandLine
from tests.integration.dead_letter_queue import (
    FIRST_SEEN,
    BrokerQueues,
    has,
    open_broker_queues,
    refuse,
    send,
    send_without_id,
    sync,
)
from tests.integration.pseudo_terminal import run_on_terminal


@pytest.fixture
def cli(amqp_url: str, names_prefix: str, tmp_path: Path) -> CommandLine:
    return CommandLine({"AMQP_URL": amqp_url, "WORKER_NAME_PREFIX": names_prefix}, tmp_path)


@pytest.fixture
async def broker(amqp_url: str, names_prefix: str) -> AsyncIterator[BrokerQueues]:
    async with open_broker_queues(amqp_url, names_prefix) as broker:
        yield broker


def column(rows: Sequence[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


# list


async def test_the_list_shows_the_reason_attempts_times_and_command_of_a_letter(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury(sync("one"), headers={"x-attempts": 3, "x-last-seen": FIRST_SEEN})

    (row,) = (await cli("dead", "list")).lines

    assert (row["letter"], row["command_type"]) == ("one", "sync_recording")
    assert row["reason_code"] == "invalid_field"
    assert row["reason"] == "field `recording_id`: must be a UUID"
    assert (row["attempts"], row["dead_lettered_by"], row["replays"]) == (3, "worker", 0)
    for time in ("first_seen", "last_seen"):
        assert datetime.fromisoformat(row[time]) == datetime.fromisoformat(FIRST_SEEN)


@pytest.mark.parametrize("delivery_limit", [None, 1_000_000])
async def test_repeated_listing_neither_reorders_nor_loses_letters(
    cli: CommandLine, broker: BrokerQueues, delivery_limit: int | None
) -> None:
    ids = [f"letter-{number}" for number in range(250)]
    if delivery_limit is not None:
        await broker.limit_deliveries_of_letters(delivery_limit)
    await broker.bury_commands(*ids)

    for limit in ("7", "230", "1", "250", "249"):
        listed = (await cli("dead", "list", "--limit", limit)).lines
        assert column(listed, "letter") == ids[: int(limit)]

    assert await broker.dead() == ids


async def test_a_limited_list_says_how_many_letters_it_did_not_read(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("one", "two", "three")

    listed = await cli("dead", "list", "--limit", "2")

    assert len(listed.lines) == 2
    assert "1 more" in listed.err
    assert "--limit" in listed.err


async def test_killing_a_list_loses_no_letter(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, eventually: Eventually
) -> None:
    await broker.bury_commands("one", "two", "three")
    async with (
        break_connection_at(amqp_url, BASIC_NACK) as (url, cut),
        cli.running("dead", "list", environ={"AMQP_URL": url}) as running,
    ):
        await cut.reached()
        running.signal(signal.SIGKILL)
        await running.end()

    await eventually(lambda: has(broker, 3))
    assert set(await broker.dead()) == {"one", "two", "three"}


async def test_a_missing_dead_letter_queue_is_named(cli: CommandLine, names_prefix: str) -> None:
    listed = await cli("dead", "list")

    assert listed.code == 1
    assert f"{names_prefix}.commands.dead" in listed.err
    assert len(listed.err.splitlines()) == 1


async def test_the_table_has_one_line_for_each_letter(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("one", "two")

    title, first, second = (await cli("dead", "list", "--no-json")).out.splitlines()

    assert title.split()[:4] == ["#", "letter", "type", "reason"]
    assert first.split()[:4] == ["1", "one", "sync_recording", "invalid_field"]
    assert second.split()[1] == "two"


async def test_filters_select_the_listed_letters(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury_commands("plain")
    await broker.bury(sync("old"), headers={"x-last-seen": "2024-01-01T00:00:00Z"})
    await broker.bury(b"{", message_id="garbled", headers={"x-reason-code": "not_json"})

    by_reason = await cli("dead", "list", "--reason", "not_json", "--type", "unknown")
    by_time = await cli("dead", "list", "--before", "2024-06-01T00:00:00Z")

    assert column(by_reason.lines, "letter") == ["garbled"]
    assert column(by_time.lines, "letter") == ["old"]


async def test_a_letter_of_the_broker_is_marked_as_such(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await send(broker, sync("again"))
    await refuse(broker)

    (row,) = (await cli("dead", "list")).lines

    assert (row["reason_code"], row["dead_lettered_by"]) == ("rejected", "broker")
    assert (row["routing_key"], row["has_outcome"]) == ("sync_recording", False)
    assert row["first_seen"] == row["last_seen"] is not None


async def test_the_reason_of_the_broker_replaces_that_of_an_earlier_retry(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    headers = {"x-reason-code": "api_circuit_open", "x-attempts": 4, "x-first-seen": FIRST_SEEN}
    await send(broker, sync("again"), headers=headers)
    await refuse(broker)

    (row,) = (await cli("dead", "list")).lines

    assert (row["reason_code"], row["attempts"]) == ("rejected", 4)
    assert row["first_seen"] < row["last_seen"]


async def test_invalid_headers_do_not_stop_the_list(cli: CommandLine, broker: BrokerQueues) -> None:
    odd: dict[str, Any] = {
        "x-attempts": "many",
        "x-first-seen": 5,
        "x-last-seen": "yesterday",
        "x-reason": {"a": 1},
        "x-reason-code": None,
        "x-death": [{"queue": f"{broker.prefix}.commands.dead"}, 7],
        "x-replays": -3,
        "x-replayed-at": [1],
        "x-original-routing-key": "k" * 300,
    }
    await broker.bury(b"\xff\xfe", headers=odd)

    (row,) = (await cli("dead", "list")).lines

    assert (row["reason_code"], row["dead_lettered_by"], row["attempts"]) == (
        "unknown",
        "unknown",
        None,
    )
    assert (row["first_seen"], row["last_seen"], row["replays"]) == (None, None, 0)
    assert row["routing_key"] == "sync_recording"


# show


MASKED = "[secure]"
SECRETS = {
    "type": "start_recording",
    "id": "secrets",
    "storage_config": {
        "type": "aws",
        "bucket": "mine",
        "secret": "hunter2",
        "acess_key": "hunter3",
    },
    "rtmp_out_config": {"rtmp_url": "rtmp://live.example/hunter4"},
}


async def test_show_prints_every_field_and_no_secret(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury(msgspec.json.encode(SECRETS), correlation_id="asker", reply_to="answers")

    shown = await cli("dead", "show", "secrets")

    (details,) = shown.lines
    assert details["body"]["storage_config"]["bucket"] == "mine"
    assert details["body"]["storage_config"]["secret"] == MASKED
    assert (details["correlation_id"], details["reply_to"]) == ("asker", "answers")
    assert details["headers"]["x-reason"] == "field `recording_id`: must be a UUID"
    assert "hunter" not in shown.out


async def test_show_as_text_prints_no_secret(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury(msgspec.json.encode(SECRETS))

    shown = await cli("dead", "show", "1", "--no-json")

    assert '"bucket": "mine"' in shown.out
    assert "reason_code: invalid_field" in shown.out
    assert "hunter" not in shown.out


async def test_raw_shows_the_original_body(cli: CommandLine, broker: BrokerQueues) -> None:
    body = msgspec.json.encode(SECRETS)
    await broker.bury(body)

    (details,) = (await cli("dead", "show", "secrets", "--raw")).lines

    assert details["body"] == body.decode()


async def test_a_letter_without_an_id_is_found_by_position_or_name(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("first")
    await broker.bury(b"not json", message_id="")

    listed = (await cli("dead", "list")).lines
    (by_position,) = (await cli("dead", "show", "2")).lines
    (by_name,) = (await cli("dead", "show", listed[1]["letter"])).lines

    assert by_position["letter"] == by_name["letter"] == listed[1]["letter"]
    assert (by_name["body"], by_name["body_encoding"]) == ("not json", "text")


async def test_a_numeric_id_wins_over_a_position(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury_commands("first", "1")

    (details,) = (await cli("dead", "show", "1")).lines

    assert details["position"] == 2


async def test_an_unknown_letter_is_named(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury_commands("one")

    for arguments in (("show", "two"), ("replay", "two"), ("drop", "two", "--yes")):
        ended = await cli("dead", *arguments)
        assert (ended.code, ended.out) == (1, "")
        assert "'two'" in ended.err


# replay


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
    assert (copy.headers["x-attempts"], copy.headers["x-replay-first-seen"]) == (1, FIRST_SEEN)
    assert "x-first-seen" not in copy.headers, "its age starts again"
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


async def test_a_letter_that_dies_again_at_once_is_replayed_once(
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
async def test_a_body_that_is_no_object_is_refused_a_new_id_and_stays(
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


async def test_a_kill_before_the_acknowledgement_leaves_the_letter_and_its_copy(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, eventually: Eventually
) -> None:
    await broker.bury_commands("one")
    async with (
        break_connection_at(amqp_url, BASIC_ACK) as (url, cut),
        cli.running("dead", "replay", "one", environ={"AMQP_URL": url}) as running,
    ):
        await cut.reached()
        running.signal(signal.SIGKILL)
        await running.end()

    await eventually(lambda: has(broker, 1))
    assert (await broker.take()).body == sync("one")
    assert await broker.dead() == ["one"]


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


# drop


async def test_only_selected_letters_are_dropped_and_the_others_keep_their_order(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("a", "b", "c")

    dropped = await cli("dead", "drop", "b", "--yes")

    assert [(row["letter"], row["result"]) for row in dropped.lines] == [("b", "dropped")]
    assert await broker.dead() == ["a", "c"]


async def test_drop_removes_every_letter_that_it_reports(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await asyncio.gather(*(broker.bury(sync(f"letter-{number}")) for number in range(400)))

    dropped = await cli("dead", "drop", "--all", "--yes")

    assert len(dropped.lines) == 400
    assert await broker.waiting() == 0


async def test_without_a_terminal_nothing_is_dropped_unless_yes_is_given(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("a")

    dropped = await cli("dead", "drop", "--all", stdin=b"y\n")

    assert dropped.code == 2
    assert "--yes" in dropped.err
    assert await broker.dead() == ["a"]


async def test_on_a_terminal_only_the_letters_that_were_shown_are_dropped(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("a", "b")

    async with run_on_terminal(cli, "dead", "drop", "--all", "--no-json") as (terminal, process):
        await terminal.says("Drop 2 letters")
        await broker.bury_commands("c")
        terminal.types(b"y\n")
        code = await process.wait()

    assert code == 0
    assert await broker.dead() == ["c"]


async def test_json_can_be_requested_on_a_terminal(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury_commands("a")

    (listed,) = await lines_on_a_terminal(cli, "dead", "list", "--json")
    (replayed,) = await lines_on_a_terminal(cli, "dead", "replay", "a", "--json")

    assert (listed["letter"], listed["reason_code"]) == ("a", "invalid_field")
    assert (replayed["letter"], replayed["result"]) == ("a", "replayed")
    assert (await broker.take()).body == sync("a")


async def lines_on_a_terminal(cli: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    """What it printed as JSON; what it says to people is on the terminal as well."""
    async with run_on_terminal(cli, *arguments) as (terminal, process):
        assert await process.wait() == 0
        said = (await terminal.all()).splitlines()
        return [msgspec.json.decode(line) for line in said if line.startswith("{")]


async def test_on_a_terminal_no_means_no(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury_commands("a")

    async with run_on_terminal(cli, "dead", "drop", "a", "--no-json") as (terminal, process):
        await terminal.says("Drop 1 letter")
        terminal.types(b"n\n")
        code = await process.wait()

    assert code == 1
    assert await broker.dead() == ["a"]
