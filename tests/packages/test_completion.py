"""Completion in the shell, as docs/reference/cli.md describes it."""

import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def run(command: str, **variables: str) -> str:
    completed = subprocess.run(
        [BIN / command], env=variables, capture_output=True, text=True, check=True
    )
    return completed.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize("command", ["recording-worker", "recording-sandbox"])
def test_the_command_prints_the_script_for_a_shell(command: str, shell: str) -> None:
    variable = f"_{command.upper().replace('-', '_')}_COMPLETE"

    assert command in run(command, **{variable: f"{shell}_source"})


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("recording-worker se", "send"),
        ("recording-worker send start_t", "start_track_recording"),
        ("recording-worker send stop_recording --start-", "--start-id"),
        ("recording-worker sand", "sandbox"),
        ("recording-worker sandbox --spe", "--speed"),
    ],
)
def test_a_word_that_was_begun_is_completed(words: str, offered: str) -> None:
    count = str(len(words.split()) - 1)
    lines = run(
        "recording-worker",
        _RECORDING_WORKER_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=count,
    ).splitlines()

    assert offered in [line.partition(",")[2] for line in lines]
