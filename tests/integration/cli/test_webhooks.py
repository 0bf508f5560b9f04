"""`recording-worker webhooks` as a separate process, against an emulated API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.api.server import Sandbox
from tests.integration.cli_process import CommandLine

PUBLIC = "https://recordings.example.com"
URL = f"{PUBLIC}/webhooks/realtimekit"
TOKEN = "the-token-of-this-test"  # noqa: S105 - any token is good


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def cli(sandbox: Sandbox, tmp_path: Path) -> CommandLine:
    environ = {
        "REALTIMEKIT_BASE_URL": sandbox.base_url,
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_APP_ID": "app",
        "REALTIMEKIT_API_TOKEN": TOKEN,
    }
    return CommandLine(environ, tmp_path)


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


async def test_register_list_and_remove_can_each_be_repeated(cli: CommandLine) -> None:
    first = await cli("webhooks", "register", WORKER_PUBLIC_URL=PUBLIC)
    again = await cli("webhooks", "register", "--url", PUBLIC)
    listed = await cli("webhooks", "list", WORKER_PUBLIC_URL=PUBLIC)
    removed = await cli("webhooks", "remove", "--url", PUBLIC + "/")
    nothing = await cli("webhooks", "remove", "--url", PUBLIC)

    assert [ended.code for ended in (first, again, listed, removed, nothing)] == [0] * 5
    (webhook,) = listed.lines
    assert without(webhook, "webhook_id") == {
        "name": "recording-worker",
        "url": URL,
        "events": ["recording.statusUpdate", "meeting.started"],
        "enabled": True,
        "ours": True,
    }
    assert first.lines == [{**webhook, "action": "added", "duplicates_removed": 0}]
    assert again.lines == [{**webhook, "action": "unchanged", "duplicates_removed": 0}]
    assert (removed.lines, nothing.lines) == ([webhook], [])


async def test_the_table_marks_our_subscriptions(cli: CommandLine) -> None:
    await cli("webhooks", "register", "--url", PUBLIC)
    listed = await cli("webhooks", "list", "--no-json", WORKER_PUBLIC_URL="https://b.example")
    heads, row = listed.out.splitlines()
    assert heads.split()[:4] == ["webhook", "name", "enabled", "ours"]
    assert "False" in row
    assert URL in row


async def test_without_a_url_nobody_knows_which_subscriptions_are_ours(cli: CommandLine) -> None:
    await cli("webhooks", "register", "--url", PUBLIC)
    listed = await cli("webhooks", "list")
    assert [webhook["ours"] for webhook in listed.lines] == [None]


@pytest.mark.parametrize("subcommand", ["register", "remove"])
async def test_a_missing_url_is_named(cli: CommandLine, subcommand: str) -> None:
    ended = await cli("webhooks", subcommand)
    assert ended.code == 2
    assert "WORKER_PUBLIC_URL" in ended.err


async def test_a_wrong_url_or_app_is_named(cli: CommandLine) -> None:
    for flags, word in (
        (("--url", "recordings.example.com"), "--url"),
        (("--url", PUBLIC, "--app", "eu"), "--app"),
    ):
        ended = await cli("webhooks", "register", *flags)
        assert ended.code == 2
        assert word in ended.err


async def test_the_error_about_a_refused_token_does_not_show_it(
    cli: CommandLine, sandbox: Sandbox
) -> None:
    sandbox.tokens.revoke(TOKEN)
    ended = await cli("webhooks", "list")
    assert ended.code == 1
    assert "unauthorized" in ended.err
    assert "REALTIMEKIT_API_TOKEN" in ended.err
    assert TOKEN not in ended.err
    assert "Traceback" not in ended.err


async def test_the_help_of_every_subcommand_has_examples(cli: CommandLine) -> None:
    for arguments in ((), ("register",), ("list",), ("remove",)):
        shown = await cli("webhooks", *arguments, "--help")
        assert "Examples:" in shown.out
