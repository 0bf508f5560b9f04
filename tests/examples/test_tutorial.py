"""`docs/tutorial.md`: its programs and commands, as the page shows them, in the page's order."""

import os
import re
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.waiting import eventually
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples.example_process import ROOT, output_of, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE: Final = (ROOT / "docs" / "tutorial.md").read_text()
PROGRAMS: Final = re.findall(r'```python title="(.+?)"\n(.*?)```', PAGE, re.DOTALL)
COMMANDS: Final = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


async def test_the_tutorial_works_as_written(
    environment: WorkerEnvironment, tmp_path: Path
) -> None:
    for name, program in PROGRAMS:
        (tmp_path / name).write_text(program)
    subscriber, start, stop, show, mistake = COMMANDS
    variables = {
        "AMQP_URL": environment.worker.settings["AMQP_URL"],
        "DATABASE_URL": f"sqlite:///{environment.worker.directory / 'state.db'}",
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
    }

    async def shell(command: str) -> str:
        return await output_of(("bash", "-c", command), folder=tmp_path, **variables)

    in_background = ("bash", "-c", f"exec {subscriber.strip().removesuffix(' &')}")
    async with running(in_background, folder=tmp_path, log=tmp_path / "log", **variables) as files:
        await files.has_logged("waiting for files")
        first = await shell(start)
        assert "CommandSucceeded" in first
        assert await shell(start) == first
        await shell(stop)
        await files.has_logged("file 3 of 3")
        await eventually(lambda: len(list(tmp_path.glob("recordings/*/*.webm"))) == 3)
        assert "my-first-start" in await shell(show)
        assert "user_ids" in await shell(f"({mistake}) 2>&1")
