"""Signals to the first process of a container, where the kernel ignores those without a handler."""

import subprocess
import sys
from typing import Final

import pytest

WHILE_IT_IMPORTS: Final = """
import os, signal, sys

class Terminating:
    def find_spec(self, name, *_):
        if name == "worker.cli.root":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Terminating())
import worker.__main__
"""

TWICE: Final = """
import asyncio, os, signal, uvloop
from worker.cli.context import stopped_by_signals

async def main():
    with stopped_by_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(5)

uvloop.run(main())
"""


@pytest.mark.parametrize("program", [WHILE_IT_IMPORTS, TWICE])
def test_sigterm_ends_the_first_process_of_a_container_during_its_start_and_its_stop(
    bubblewrap: str, program: str
) -> None:
    container = [bubblewrap, "--unshare-user", "--unshare-pid", "--as-pid-1", "--bind", "/", "/"]
    ended = subprocess.run([*container, sys.executable, "-c", program], check=False, timeout=30)
    assert ended.returncode == 143
