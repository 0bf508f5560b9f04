"""The sandbox as a process."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from click.testing import CliRunner

from recording_sandbox.cli import sandbox
from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import wait_until

RUN = [sys.executable, "-c", "from recording_sandbox.cli import sandbox; sandbox()"]


@contextmanager
def running(*flags: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*RUN, *flags], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sandbox_prints_its_addresses_serves_there_and_stops_cleanly(
    number: signal.Signals,
) -> None:
    with running("--json", "--speed", "60") as process:
        assert process.stdout is not None
        printed = json.loads(process.stdout.readline())
        key = httpx.get(printed["webhook_key_url"], timeout=60)
        listed = httpx.get(
            f"{printed['base_url']}/accounts/a/realtime/kit/b/recordings",
            headers={"Authorization": "Bearer any"},
            timeout=60,
        )
        process.send_signal(number)

        assert process.wait(timeout=60) == 0
    assert (key.status_code, listed.json()["data"]) == (200, [])
    assert printed["environment"]["REALTIMEKIT_BASE_URL"] == printed["base_url"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_the_sandbox_stops_cleanly_if_its_standard_streams_are_closed(closed: str) -> None:
    (port,) = free_ports(1)
    command = f'exec "$0" -m recording_sandbox --port {port} {closed}'
    with subprocess.Popen(["sh", "-c", command, sys.executable]) as process:
        try:
            wait_until(lambda: listens(port), seconds=60, otherwise=lambda: "it does not listen")
            process.terminate()
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


def test_the_sandbox_prints_the_variables_that_configure_a_worker() -> None:
    with running() as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip() for _ in range(9)]

    names = [line.removeprefix("export ").partition("=")[0] for line in lines if "export" in line]
    assert names == [
        "REALTIMEKIT_BASE_URL",
        "REALTIMEKIT_WEBHOOK_KEY_URL",
        "REALTIMEKIT_ACCOUNT_ID",
        "REALTIMEKIT_APP_ID",
        "REALTIMEKIT_API_TOKEN",
    ]


def test_a_port_in_use_is_reported_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = subprocess.run(
            [*RUN, "--port", str(port)], capture_output=True, text=True, timeout=30, check=False
        )

    assert result.returncode == 1
    assert f"cannot serve on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--set", "invoked_seconds=long"], "invoked_seconds"),
        (["--set", "nonsense=1"], "nonsense"),
        (["--set", "strict"], "NAME=VALUE"),
        (["--speed", "-1"], "--speed"),
        (["--port", "70000"], "--port"),
    ],
)
def test_the_error_names_an_invalid_flag(flags: list[str], named: str) -> None:
    result = CliRunner().invoke(sandbox, flags)

    assert result.exit_code == 2
    assert named in result.output


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_has_examples(flag: str) -> None:
    assert "Examples:" in CliRunner().invoke(sandbox, [flag]).output
