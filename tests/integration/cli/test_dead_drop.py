"""`recording-worker dead drop` as a process, on a real dead-letter queue."""

import asyncio
from typing import Any

import msgspec

from recording_sandbox.waiting import eventually as wait_for_fact
from tests.integration.cli.pseudo_terminal import run_on_terminal
from tests.integration.cli_process import CommandLine
from tests.integration.dead_letter_queue import (
    BrokerQueues,
    has,
    sync,
)


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
    """The JSON lines among the output on the terminal."""
    async with run_on_terminal(cli, *arguments) as (terminal, process):
        assert await process.wait() == 0
        lines = (await terminal.all()).splitlines()
        return [msgspec.json.decode(line) for line in lines if line.startswith("{")]


async def test_the_answer_no_on_a_terminal_drops_nothing(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("a")

    async with run_on_terminal(cli, "dead", "drop", "a", "--no-json") as (terminal, process):
        await terminal.says("Drop 1 letter")
        terminal.types(b"n\n")
        code = await process.wait()

    assert code == 1
    assert await broker.dead() == ["a"]


async def test_a_drop_that_finds_nothing_says_that_another_program_may_hold_the_letters(
    cli: CommandLine, broker: BrokerQueues
) -> None:
    await broker.bury_commands("held")
    queue = await broker.channel.get_queue(f"{broker.prefix}.commands.dead")
    held = await queue.get(timeout=10)

    by_filter = await cli("dead", "drop", "--reason", "invalid_field", "--yes")
    by_name = await cli("dead", "drop", "held", "--yes")
    await held.nack()

    assert (by_filter.code, by_name.code) == (0, 1)
    assert "No dead letter matches. If another command or a console reads" in by_filter.err
    assert "If another command or a console reads" in by_name.err
    await wait_for_fact(lambda: has(broker, 1))
