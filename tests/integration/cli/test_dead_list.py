"""`recording-worker dead list` as a process, on a real dead-letter queue."""

import signal
from datetime import datetime
from typing import Any

import pytest

from recording_sandbox.waiting import Eventually
from tests.integration.cli.breaking_amqp_proxy import (
    BASIC_NACK,
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
    sync,
)


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


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
)
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
async def test_no_time_that_a_publisher_wrote_hides_the_letters(
    cli: CommandLine, broker: BrokerQueues, time: str, zone: str
) -> None:
    await broker.bury(sync("odd"), headers={"x-replay-first-seen": time})
    await broker.bury(sync("even"))

    assert column((await cli("dead", "list")).lines, "letter") == ["odd", "even"]
    listed = await cli("dead", "list", "--no-json", "--wide", TZ=zone)
    assert listed.code == 0, listed.err
    assert "odd" in listed.out
    dropped = await cli("dead", "drop", "odd", "--yes")
    assert dropped.code == 0, dropped.err
    assert await broker.dead() == ["even"]


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


async def test_the_error_names_a_missing_dead_letter_queue(
    cli: CommandLine, names_prefix: str
) -> None:
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
    by_age = await cli("dead", "list", "--before", "1d", "--type", "sync_recording")
    by_date = await cli("dead", "list", "--before", "2024-06-01")
    by_long_age = await cli("dead", "list", "--before", "99999999d")

    assert column(by_time.lines, "letter") == column(by_date.lines, "letter") == ["old"]
    assert sorted(column(by_age.lines, "letter")) == ["old", "plain"]
    assert by_long_age.lines == []


async def test_a_letter_that_the_broker_dead_lettered_is_marked_as_such(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await send(broker, sync("again"))
    await refuse(broker)

    (row,) = (await cli("dead", "list")).lines

    assert (row["reason_code"], row["dead_lettered_by"]) == ("rejected", "broker")
    assert (row["routing_key"], row["has_outcome"]) == ("sync_recording", True)
    assert row["first_seen"] == row["last_seen"] is not None


async def test_the_headers_of_a_publisher_are_not_shown_as_those_of_a_worker(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    headers = {"x-reason-code": "api_circuit_open", "x-attempts": 4, "x-first-seen": FIRST_SEEN}
    await send(broker, sync("again"), headers=headers)
    await refuse(broker)

    (row,) = (await cli("dead", "list")).lines

    assert (row["reason_code"], row["attempts"]) == ("rejected", None)
    assert row["first_seen"] == row["last_seen"]


async def test_invalid_headers_do_not_stop_the_list(cli: CommandLine, broker: BrokerQueues) -> None:
    invalid: dict[str, Any] = {
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
    await broker.bury(b"\xff\xfe", headers=invalid)

    (row,) = (await cli("dead", "list")).lines

    assert (row["reason_code"], row["dead_lettered_by"], row["attempts"]) == (
        "unknown",
        "unknown",
        None,
    )
    assert (row["first_seen"], row["last_seen"], row["replays"]) == (None, None, 0)
    assert row["routing_key"] == "sync_recording"
