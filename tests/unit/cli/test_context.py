"""A command stops at a signal in its own way, and at a second one at once."""

import signal
import subprocess
import sys

import pytest

STOPPING = """
import asyncio
from worker.cli.context import stopped_by_signals

async def main():
    with stopped_by_signals() as stop:
        print("ready", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def command(*, hangup: str = "SIG_DFL") -> subprocess.Popen[str]:
    """It ignores SIGHUP first with `SIG_IGN`, whatever these tests inherited from a `nohup`."""
    inherited = f"import signal; signal.signal(signal.SIGHUP, signal.{hangup})"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{inherited}\n{STOPPING}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert line_of(process) == "ready\n"
    return process


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_lets_a_command_stop_and_the_second_ends_it(
    number: signal.Signals,
) -> None:
    with command() as process:
        process.send_signal(number)
        assert line_of(process) == "stopping\n"
        process.send_signal(number)
        process.wait(10)

    assert process.returncode == -number


def test_under_nohup_a_command_does_not_stop_when_the_terminal_is_closed() -> None:
    with command(hangup="SIG_IGN") as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert line_of(process) == "stopping\n"
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):  # neither was the first or the second one
            process.wait(0.3)
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    assert process.returncode == -signal.SIGTERM
