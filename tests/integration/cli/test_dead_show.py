"""`recording-worker dead show` as a process, on a real dead-letter queue."""

import msgspec
import pytest

from recording_schemas import error_section
from tests.integration.cli_process import CommandLine
from tests.integration.dead_letter_queue import (
    BrokerQueues,
)
from tests.raw_properties import long, publish_raw
from worker.broker.properties import (
    HEADERS,
    MESSAGE_ID,
    TIMESTAMP,
    joined_properties,
    joined_table,
)

MASK = "[secure]"


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
    assert details["body"]["storage_config"]["secret"] == MASK
    assert (details["correlation_id"], details["reply_to"]) == ("asker", "answers")
    assert details["reason_help"] == error_section(details["reason_code"])
    assert details["headers"]["x-reason"] == "field `recording_id`: must be a UUID"
    assert "hunter" not in shown.out


ODD_HEADERS = [
    (b"time", b"T" + b"\xff" * 8),
    (b"na\xffme", b"S" + long(b"\xff")),
    (b"decimal", b"D\x02\x00\x00\x01\x00"),
    (b"bytes", b"x" + long(b"\xff\x00")),
    (b"nested", b"F" + long(b"\x01aA" + long(b"T" + b"\xff" * 8 + b"V"))),
    (b"inner", b"F" + long(b"\x01aA" + long(b"T" + bytes(8) + b"V"))),
]


@pytest.mark.parametrize("form", ["--json", "--no-json"])
async def test_show_prints_headers_of_every_type(
    cli: CommandLine, broker: BrokerQueues, amqp_url: str, form: str
) -> None:
    odd = {HEADERS: joined_table(ODD_HEADERS), TIMESTAMP: b"\xff" * 8, MESSAGE_ID: b"\x01\xff"}
    wire = joined_properties(odd)
    await publish_raw(amqp_url, f"{broker.prefix}.dead-letter", "sync_recording", b"{}", wire)

    shown = await cli("dead", "show", "1", form)

    assert shown.code == 0, shown.err
    assert "decimal" in shown.out
    assert "2.56" in shown.out


async def test_show_as_text_prints_no_secret(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury(msgspec.json.encode(SECRETS))

    shown = await cli("dead", "show", "1", "--no-json")

    assert '"bucket": "mine"' in shown.out
    assert "reason_code: invalid_field" in shown.out
    assert "hunter" not in shown.out


async def test_raw_prints_the_original_body(cli: CommandLine, broker: BrokerQueues) -> None:
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


async def test_the_error_names_an_unknown_letter(cli: CommandLine, broker: BrokerQueues) -> None:
    await broker.bury_commands("one")

    for arguments in (("show", "two"), ("replay", "two"), ("drop", "two", "--yes")):
        ended = await cli("dead", *arguments)
        assert (ended.code, ended.out) == (1, "")
        assert "'two'" in ended.err


@pytest.mark.parametrize(
    ("name", "words", "others"),
    [
        ("start", "Several ids begin with it: start-1, start-2", ()),
        ("start…", "start… is short for several ids: start-1, start-2", ()),
        ("start-", "Several ids begin with it: start-1, start-2", ("--new-id",)),
        ("last", "One id begins with it: last-3", ()),
        ("nothing", "`recording-worker dead list` shows the names", ()),
    ],
)
async def test_a_name_that_is_only_the_beginning_is_answered_with_the_candidates(
    cli: CommandLine, broker: BrokerQueues, name: str, words: str, others: tuple[str, ...]
) -> None:
    await broker.bury_commands("start-1", "start-2", "last-3")

    shown = await cli("dead", "show", name)
    replayed = await cli("dead", "replay", name, *others)
    dropped = await cli("dead", "drop", name, "--yes")

    for ended in (shown, replayed, dropped):
        assert ended.code in {1, 2}
        assert words in ended.err
    assert len((await cli("dead", "list")).lines) == 3


async def test_a_short_name_of_twelve_digits_is_answered_with_the_candidates(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury(b"not json", message_id="")
    (letter,) = [row["letter"] for row in (await cli("dead", "list")).lines]

    shown = await cli("dead", "show", letter[:5])

    assert shown.code == 1
    assert f"One id begins with it: {letter}" in shown.err
