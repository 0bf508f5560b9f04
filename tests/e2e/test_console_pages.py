"""The console in a real browser, with a running worker: every page, both themes, every width.

CONSOLE_SHOTS=<folder> also takes pictures.
"""

import asyncio
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from recording_schemas import Archived, CommandRejected, Completed, Status, StatusChanged
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.integration.console.console_client import TOKEN, running_console

SCRIPT: Final = Path(__file__).parents[1] / "node" / "console.mjs"
SHOTS: Final = os.environ.get("CONSOLE_SHOTS", "")
"""The folder for pictures of each page, if any."""
HOSTILE: Final = "<img src=x onerror=alert(1)>"


async def prepare(environment: WorkerEnvironment) -> dict[str, str]:
    """A recording with files, a live one, a failed start and dead letters, all with hostile
    text."""
    meetings = environment.sandbox.meetings
    meeting = meetings.create(title=HOSTILE, participants=("ann",), live=True)
    hostile = meetings.register(meeting.id, "bob@example.com", name=f"{HOSTILE}\u202e")
    meetings.join(meeting.id, hostile.id)
    live, empty = str(uuid.uuid4()), str(uuid.uuid4())
    metadata = {"case": HOSTILE}
    await environment.start("start-ended", meeting_id=meeting.id, metadata=metadata)
    await environment.start("start-live", meeting_id=live, max_seconds=86_400)
    await environment.start("start-refused", meeting_id=empty, user_ids=[HOSTILE])
    await environment.send(type="start_track_recording", id="letter-1", meeting_id=HOSTILE)
    await environment.send(type="start_track_recording", id="letter-2", meeting_id=HOSTILE)
    await environment.send(type="begin_recording", id=HOSTILE, storage_config={"secret": "s"})
    refusal = await environment.event(CommandRejected, command_id="start-refused")
    running = await environment.event(
        StatusChanged, status=Status.RECORDING, start_id="start-ended"
    )
    await environment.send(type="stop_recording", id="stop-ended", start_id="start-ended")
    await environment.event(Completed, start_id="start-ended")
    await environment.event(Archived, start_id="start-ended")
    being = await environment.event(StatusChanged, status=Status.RECORDING, start_id="start-live")
    await environment.outcome("letter-1")
    await environment.outcome("letter-2")
    await environment.outcome(HOSTILE)
    return {
        "recording": running.data.recording_id,  # type: ignore[union-attr]
        "meeting": meeting.id,
        "live_recording": being.data.recording_id,  # type: ignore[union-attr]
        "empty_meeting": empty,
        "rejected": "start-refused",
        "rejection": refusal.data.code,  # type: ignore[union-attr]
        "letter": "letter-1",
        "hostile": HOSTILE,
        "replayed": "letter-2",
        "person": hostile.id,
        "marker": "case=appeared-just-now",
        "token": TOKEN,
    }


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[WorkerEnvironment]:
    (tmp_path / "archive").mkdir()
    async with open_worker_environment(
        amqp_url,
        names_prefix,
        tmp_path,
        speed=20.0,
        WORKER_ARCHIVE_URL=f"file://{tmp_path / 'archive'}",
        WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES="on",
    ) as environment:
        yield environment


async def findings_of(plan: dict[str, str], on_ask: Any) -> list[dict[str, Any]]:
    """The browser's findings. `on_ask` is called when the script waits for an event."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=SCRIPT.parent,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(json.dumps(plan).encode())
    process.stdin.close()
    findings = []
    async for line in process.stdout:
        message = json.loads(line)
        if "ask" in message:
            await on_ask()
        else:
            findings.append(message)
    errors = (await process.stderr.read()).decode()
    assert await process.wait() == 0, errors
    return findings


@pytest.mark.slow
@pytest.mark.timeout(360)  # a browser needs time while other tests run
async def test_every_page_of_the_console_works_in_a_browser(
    environment: WorkerEnvironment, chromium: str, tmp_path: Path
) -> None:
    worker = environment.worker.settings
    names = ("AMQP_URL", "WORKER_NAME_PREFIX", "WORKER_RETRY_DELAYS_SECONDS")
    environ = {
        **{name: worker[name] for name in names},
        "DATABASE_URL": f"sqlite:///{tmp_path / 'state.db'}",
        "WORKER_CONSOLE_TOKEN": TOKEN,
    }

    async def start_another() -> None:
        metadata = {"case": "appeared-just-now"}
        await environment.start("start-late", meeting_id=str(uuid.uuid4()), metadata=metadata)

    async with AsyncExitStack() as stack:
        plan = await prepare(environment)
        console = await stack.enter_async_context(running_console(environ))
        place = {
            "base": console.origin,
            "chromium": shutil.which(chromium) or chromium,
            "shots": SHOTS,
        }
        findings = await findings_of(plan | place, start_another)

    failed = [
        f"{finding['name']}: {finding['detail']}" for finding in findings if not finding["ok"]
    ]
    assert not failed, "\n\n".join(failed)
    assert len(findings) > 20
