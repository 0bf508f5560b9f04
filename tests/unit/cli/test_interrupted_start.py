"""Ctrl-C before there is a command that could report it."""

import signal
import subprocess
import sys
from typing import Final

import pytest

INTERRUPTED_IMPORT: Final = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "worker.cli.root":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, {handler})
sys.meta_path.insert(0, Interrupts())
sys.argv = ["recording-worker", "--version"]
runpy.run_module("worker", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("handler", "code"),
    [("signal.default_int_handler", -signal.SIGINT), ("signal.SIG_IGN", 0)],
    ids=["foreground", "ignored"],
)
def test_ctrl_c_during_the_imports_ends_quietly_unless_it_is_ignored(
    handler: str, code: int
) -> None:
    script = INTERRUPTED_IMPORT.format(handler=handler)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (code, "")
