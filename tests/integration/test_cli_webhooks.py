"""`recording-worker webhooks` as a process of its own, against an emulated API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.api.server import Sandbox
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


async def test_registered_listed_and_removed_each_as_often_as_one_likes(cli: CommandLine) -> None:
    first = await cli("webhooks", "register", WORKER_PUBLIC_URL=PUBLIC)
    again = await cli("webhooks", "register", "--url", PUBLIC)
    listed = await cli("webhooks", "list", WORKER_PUBLIC_URL=PUBLIC)
    removed = await cli("webhooks", "remove", "--url", PUBLIC + "/")
    nothing = await cli("webhooks", "remove", "--url", PUBLIC)

    assert [one.code for one in (first, again, listed, removed, nothing)] == [0] * 5
    (one,) = listed.lines
    assert without(one, "webhook_id") == {
        "name": "recording-worker",
        "url": URL,
        "events": ["recording.statusUpdate"],
        "enabled": True,
        "ours": True,
    }
    assert first.lines == [{**one, "what": "added", "removed": 0}]
    assert again.lines == [{**one, "what": "unchanged", "removed": 0}]
    assert (removed.lines, nothing.lines) == ([one], [])


async def test_text_for_people_says_whose_each_is(cli: CommandLine) -> None:
    await cli("webhooks", "register", "--url", PUBLIC)
    listed = await cli("webhooks", "list", "--no-json", WORKER_PUBLIC_URL="https://b.example")
    heads, row = listed.out.splitlines()
    assert heads.split()[:4] == ["webhook", "name", "enabled", "ours"]
    assert "False" in row
    assert URL in row


@pytest.mark.parametrize("what", ["register", "remove"])
async def test_without_a_url_it_says_what_is_missing(cli: CommandLine, what: str) -> None:
    ended = await cli("webhooks", what)
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


async def test_a_refused_token_is_told_without_showing_it(
    cli: CommandLine, sandbox: Sandbox
) -> None:
    sandbox.tokens.revoke(TOKEN)
    ended = await cli("webhooks", "list")
    assert ended.code == 1
    assert "unauthorized" in ended.err
    assert TOKEN not in ended.err
    assert "Traceback" not in ended.err


async def test_the_help_has_examples_for_each(cli: CommandLine) -> None:
    for words in ((), ("register",), ("list",), ("remove",)):
        told = await cli("webhooks", *words, "--help")
        assert "Examples:" in told.out
