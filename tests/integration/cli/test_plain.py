"""The command line without a broker or API: help, settings, plugins, terminals and pipes."""

import asyncio
import json
import os
import pty
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.services.ports import free_ports
from recording_sandbox.waiting import Eventually
from tests.integration.cli_process import EXECUTABLE, CommandLine

COMMANDS = (
    (),
    ("run",),
    ("send",),
    ("tail",),
    ("recordings",),
    ("topology",),
    ("topology", "show"),
    ("topology", "declare"),
    ("topology", "check"),
    ("config",),
    ("config", "check"),
    ("config", "show-defaults"),
    ("sandbox",),
)


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine({}, tmp_path)


@pytest.fixture
def installed(tmp_path: Path) -> CommandLine:
    return CommandLine({}, tmp_path, installed=True)


def output_on_terminal(*arguments: str, columns: int = 200, **environ: str) -> str:
    """Everything that the command writes to a terminal of this width."""
    pid, terminal = pty.fork()
    if pid == 0:
        size = {"COLUMNS": str(columns), "TERM": "xterm-256color"}
        os.execve(EXECUTABLE, ["recording-worker", *arguments], {**size, **environ})  # noqa: S606
    written = b""
    try:
        while piece := os.read(terminal, 65536):
            written += piece
    except OSError:  # raised on Linux when the other side is closed
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return written.decode()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_every_command_has_help_with_examples(
    cli: CommandLine, command: tuple[str, ...]
) -> None:
    shown = await cli(*command, "--help")

    assert shown.code == 0
    assert "Example" in shown.out
    assert f"recording-worker {' '.join(command)}".strip() in shown.out


async def test_an_encoding_that_lacks_a_character_ends_no_command(installed: CommandLine) -> None:
    shown = await installed("run", "--help", PYTHONIOENCODING="latin-1")

    assert shown.code == 0, shown.err
    assert r"REALTIMEKIT_ACCOUNT_ID=\u2026" in shown.out


async def test_version_prints_the_version(installed: CommandLine) -> None:
    assert (await installed("--version")).out.startswith("recording-worker, version 0.")


async def test_the_package_can_be_run_as_a_module(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", "topology", "show",
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    out, _ = await process.communicate()
    assert b"recording.commands" in out


async def test_an_unknown_command_or_flag_is_named_with_exit_code_2(
    installed: CommandLine,
) -> None:
    command, flag = await installed("sned"), await installed("send", "--meting-id", "x")

    assert (command.code, flag.code) == (2, 2)
    assert "sned" in command.err
    assert "--meeting-id" in flag.err


LOADED = """
import sys
from worker.__main__ import main
try:
    main(["--help"])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


async def test_help_imports_no_slow_module(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOADED,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    _, loaded = await process.communicate()
    heavy = {"rich", "aio_pika", "sqlalchemy", "httpx", "aiohttp", "structlog", "uvloop", "alembic"}
    assert not heavy & set(loaded.decode().split())


# config


async def test_config_check_shows_every_setting_with_its_source_and_no_secret(
    cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text("postgresql://me:hunter2@db.test/state\n")

    checked = await cli(
        *("config", "check"),
        REALTIMEKIT_ACCOUNT_ID="account",
        REALTIMEKIT_APP_ID="app",
        REALTIMEKIT_API_TOKEN="hunter2-hunter2",  # noqa: S106
        AMQP_URL="amqp://me:hunter2@broker.test,[::1]:5673/",
        DATABASE_URL_FILE=str(tmp_path / "url"),
        WORKER_PREFETCH="7",
    )

    rows = {row["variable"]: (row["value"], row["source"]) for row in checked.lines}
    assert checked.code == 0, checked.err
    assert rows["AMQP_URL"] == ("amqp://me:***@broker.test,[::1]:5673/", "env")
    assert rows["DATABASE_URL"] == (
        "postgresql://me:***@db.test/state",
        f"file {tmp_path / 'url'}",
    )
    assert rows["REALTIMEKIT_API_TOKEN"] == ("[secure]", "env")
    assert rows["WORKER_PREFETCH"] == ("7", "env")
    assert rows["HTTP_PORT"] == ("8080", "default")
    assert rows["WORKER_PUBLIC_URL"] == (None, "unset")
    assert "hunter2" not in checked.out + checked.err


async def test_config_check_does_not_show_a_secret_that_is_in_a_wrong_place(
    cli: CommandLine,
) -> None:
    checked = await cli(
        *("config", "check"),
        AMQP_URL_FILE="amqp://me:hunter2@broker.test/",
        DATABASE_URL="postgresql://me@db.test/state?pin=hunter2",
        REALTIMEKIT_API_TOKEN_FILE="hunter2-hunter2",  # noqa: S106
    )

    assert checked.code == 2
    assert "AMQP_URL_FILE: the file [secure] cannot be read" in checked.err
    assert "DATABASE_URL: has the option pin, which libpq does not know" in checked.err
    assert "hunter2" not in checked.out + checked.err


async def test_config_check_says_which_proxy_and_which_authorities_are_used(
    cli: CommandLine,
) -> None:
    required: dict[str, Any] = {
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_APP_ID": "app",
        "REALTIMEKIT_API_TOKEN": "hunter2-hunter2",
        "REALTIMEKIT_WEBHOOK_KEY_URL": "https://keys.test/key.json",
    }
    proxies: dict[str, Any] = {"https_proxy": "me:hunter2@proxy.test:3128", "NO_PROXY": "keys.test"}

    direct = await cli("config", "check", **required)
    proxied = await cli("config", "check", **required, **proxies)

    rows = {row["variable"]: (row["value"], row["source"]) for row in proxied.lines}
    assert proxied.code == 0, proxied.err
    proxy = "http://me:***@proxy.test:3128"
    assert rows["HTTPS_PROXY"] == (proxy, "env")
    assert rows["proxy for https://api.cloudflare.com"] == (proxy, "HTTPS_PROXY")
    assert rows["proxy for https://keys.test"] == ("none", "NO_PROXY")
    assert "hunter2" not in proxied.out + proxied.err
    rows = {row["variable"]: (row["value"], row["source"]) for row in direct.lines}
    assert rows["proxy for https://api.cloudflare.com"] == ("none", "default")
    authorities = rows["certificate authorities of the API"]
    assert authorities == ("those of the package certifi", "default")


async def test_config_check_warns_of_otel_variables_that_cannot_be_used(cli: CommandLine) -> None:
    variables: dict[str, Any] = {
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_APP_ID": "app",
        "REALTIMEKIT_API_TOKEN": "token",
        "OTEL_TRACES_EXPORTER": "console\x1b[31m",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    checked = await cli("config", "check", **variables)
    assert checked.code == 0
    protocol, exporter = sorted(checked.err.splitlines())
    assert protocol.startswith("Warning: OTEL_EXPORTER_OTLP_PROTOCOL: must be one of http/protobuf")
    assert exporter == (
        "Warning: OTEL_TRACES_EXPORTER: supports only otlp and none, not console\\x1b[31m: "
        "no traces are exported"
    )


async def test_config_check_shows_the_apps_of_a_file_without_tokens_and_names_their_faults(
    cli: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "apps.json"
    eu = {"account_id": "a", "app_id": "b", "api_token": "hunter2", "api_budget": "5/1,7/0.5"}
    path.write_text(json.dumps({"eu": eu}))
    checked = await cli("config", "check", WORKER_APPS_FILE=str(path))
    path.write_text(json.dumps({"eu": {**eu, "acount_id": "a"}}))
    wrong = await cli("config", "check", WORKER_APPS_FILE=str(path))

    rows = {row["variable"]: (row["value"], row["source"]) for row in checked.lines}
    assert checked.code == 0, checked.err
    assert rows["eu.account_id"] == ("a", f"file {path}")
    assert rows["eu.api_token"] == ("[secure]", f"file {path}")
    assert rows["eu.api_budget"] == ("5/1,7/0.5", f"file {path}")
    assert rows["REALTIMEKIT_API_TOKEN"] == (None, "unset")
    assert wrong.code == 2
    assert "app 'eu': acount_id: is not a field of an app" in wrong.err
    assert "hunter2" not in checked.out + checked.err + wrong.out + wrong.err


@pytest.mark.parametrize("command", [("config", "check"), ("run",)], ids=" ".join)
async def test_every_fault_is_listed_at_once_with_exit_code_2(
    cli: CommandLine, command: tuple[str, ...]
) -> None:
    ended = await cli(
        *command, WORKER_PREFETCH="many", WORKER_PREFECH="1", AMQP_URL="hunter2"
    )  # fmt: skip

    named = [line.split()[1].rstrip(":") for line in ended.err.splitlines()]
    assert ended.code == 2
    assert sorted(named) == [
        *("AMQP_URL", "REALTIMEKIT_ACCOUNT_ID", "REALTIMEKIT_API_TOKEN"),
        *("REALTIMEKIT_APP_ID", "WORKER_PREFECH", "WORKER_PREFETCH"),
    ]
    assert "hunter2" not in ended.out + ended.err


async def test_config_check_shows_bytes_that_are_not_utf8_with_escapes(
    installed: CommandLine,
) -> None:
    ended = await installed("config", "check", REALTIMEKIT_ACCOUNT_ID="M\udcfcller")
    assert ended.code == 2
    assert r"M\\udcfcller" in ended.out
    assert "REALTIMEKIT_ACCOUNT_ID: has bytes that are not UTF-8 text" in ended.err


async def test_the_listed_defaults_are_those_that_a_check_shows(cli: CommandLine) -> None:
    defaults = {
        row["variable"]: row["default"] for row in (await cli("config", "show-defaults")).lines
    }
    shown = {row["variable"]: row["value"] for row in (await cli("config", "check")).lines}

    assert defaults.keys() == shown.keys()
    assert shown["HTTP_PORT"] == defaults["HTTP_PORT"] == "8080"


# terminals and pipes


def test_a_terminal_gets_a_table_in_colour() -> None:
    shown = output_on_terminal("topology", "show")

    assert "\x1b[" in shown
    assert "{" not in shown
    assert "recording.commands.retry.600s" in shown


def test_a_table_on_a_narrow_terminal_is_complete() -> None:
    shown = output_on_terminal("topology", "show", columns=60)

    assert "…" not in shown


def test_json_can_be_requested_on_a_terminal() -> None:
    assert output_on_terminal("topology", "show", "--json").startswith('{"kind":"exchange"')


async def test_text_can_be_requested_in_a_pipe_and_has_no_colours(cli: CommandLine) -> None:
    shown = await cli("topology", "show", "--no-json")

    assert shown.out.startswith("kind ")
    assert "\x1b" not in shown.out


async def test_a_reader_that_closes_the_pipe_causes_no_traceback(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_shell(
        f"for i in 1 2 3; do '{EXECUTABLE}' config show-defaults; done | true",
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    assert stderr == b""


def accepts_connections(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
async def test_a_server_stops_cleanly_if_its_standard_streams_are_closed(
    closed: str, tmp_path: Path, eventually: Eventually
) -> None:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_shell(
        f"exec '{EXECUTABLE}' sandbox --port {port} {closed}", cwd=tmp_path
    )
    try:
        await eventually(lambda: accepts_connections(port))
    finally:
        process.terminate()
        code = await process.wait()
    assert code == 0


async def test_a_command_whose_output_is_closed_succeeds() -> None:
    process = await asyncio.create_subprocess_shell(
        f"'{EXECUTABLE}' config show-defaults >&-", stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert (process.returncode, stderr) == (0, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_a_full_disk_is_one_line_with_exit_code_1(unbuffered: str) -> None:
    process = await asyncio.create_subprocess_shell(
        f"'{EXECUTABLE}' config show-defaults > /dev/full",
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()

    assert stderr == b"Error: the output cannot be written: No space left on device\n"
    assert process.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "code"), [("config show-defaults > /dev/full", 1), ("dead drop", 2)]
)
async def test_the_exit_code_reports_the_error_on_a_full_disk(
    words: str, code: int, unbuffered: str
) -> None:
    process = await asyncio.create_subprocess_shell(
        f"'{EXECUTABLE}' {words} 2> /dev/full", env=os.environ | {"PYTHONUNBUFFERED": unbuffered}
    )

    assert await process.wait() == code


# plugins


def install(directory: Path, name: str, target: str, **modules: str) -> None:
    """Install a distribution as pip does."""
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[recording_worker.commands]\n{name} = {target}\n")
    for module, source in modules.items():
        (directory / f"{module}.py").write_text(source)


LATE = """
import click

@click.command()
def late():
    '''Does something.'''
    import not_there
"""


async def test_a_command_of_another_package_is_listed_and_runs(
    cli: CommandLine, tmp_path: Path
) -> None:
    source = (
        "import click\n@click.command()\ndef hello():\n    '''Says hello.'''\n    print('hello')"
    )
    install(tmp_path, "hello", "hello_plugin:hello", hello_plugin=source)

    shown = await cli("--help", PYTHONPATH=str(tmp_path))
    ran = await cli("hello", PYTHONPATH=str(tmp_path))

    assert "Says hello." in shown.out
    assert ran.out == "hello\n"


@pytest.mark.parametrize(("name", "target"), [("early", "not_there:x"), ("late", "late_one:late")])
async def test_a_command_whose_extra_is_missing_says_what_to_install(
    cli: CommandLine, tmp_path: Path, name: str, target: str
) -> None:
    install(tmp_path, name, target, late_one=LATE)

    ran = await cli(name, PYTHONPATH=str(tmp_path))
    shown = await cli("--help", PYTHONPATH=str(tmp_path))

    assert ran.code == 1
    assert ran.err == (
        f"Error: `{name}` needs not_there, which is not installed: "
        "pip install 'recording-worker[sandbox]'\n"
    )
    assert shown.code == 0


async def test_a_command_of_another_package_cannot_replace_a_built_in_one(
    cli: CommandLine, tmp_path: Path
) -> None:
    install(tmp_path, "run", "not_there:x")

    assert (await cli("run", "--help", PYTHONPATH=str(tmp_path))).out.startswith("Usage")
