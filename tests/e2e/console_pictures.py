"""Takes docs/images/console-*.png in two minutes: `python -m tests.e2e.console_pictures`.

The demo records its meeting and keeps running. Further meetings are recorded, one of them paused,
another waits for its session. Some commands are refused and some cannot be read. The browser takes
each page in both themes, with the pixels and the colours that a page of the documents needs.
"""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image

from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.services.install import ensure_program
from recording_schemas import CloudEvent, CommandRejected, Outcome, Status, StatusChanged

ROOT: Final = Path(__file__).parents[2]
IMAGES: Final = ROOT / "docs" / "images"
SCRIPT: Final = ROOT / "tests" / "node" / "pictures.mjs"
COMMAND: Final = Path(sys.executable).with_name("recording-worker")
COLOURS: Final = 256
LIVE: Final = 9
DEMO_TIMEOUT_SECONDS: Final = 180.0


@asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The demo after its meeting: the `environment` and the `addresses` that it prints."""
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "demo", "--keep", "--json", "--speed", "20"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEMO_TIMEOUT_SECONDS):
            facts = await _facts(process.stdout)
        yield facts
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def _facts(lines: asyncio.StreamReader) -> dict[str, Any]:
    """The demo's output while everything runs."""
    async for line in lines:
        facts: dict[str, Any] = json.loads(line).get("facts", {})
        if "addresses" in facts:
            return facts
    raise SystemExit("the demo ended")


async def make_it_busy(client: WorkerClient) -> dict[str, str]:
    """Recordings, refusals and dead letters as on any day. Returns the ids that pictures need."""

    async def send(kind: str, **fields: Any) -> None:
        command = {"type": kind, **fields}
        await client.send_raw(json.dumps(command).encode(), routing_key=kind)

    async def outcome(command_id: str) -> Outcome:
        event = await client.until(
            lambda events: next(
                (
                    event
                    for event in events
                    if isinstance(event.data, Outcome) and event.subject == command_id
                ),
                None,
            ),
            within=60,
            description=f"the outcome of {command_id}",
        )
        return event.data  # type: ignore[return-value]

    for number in range(LIVE):
        more = {"max_seconds": 5400} if number % 4 == 0 else {}
        case = {"case": f"2026-{117 + number:04}", "team": "support"}
        start = {"id": f"start-{number + 1}", "meeting_id": str(uuid.uuid4()), "metadata": case}
        await send("start_track_recording", **start, **more)
    for number in range(2):
        people = {"custom_participant_ids": ["dora@example.com"]}
        refused = {"id": f"refused-{number + 1}", "meeting_id": str(uuid.uuid4())}
        await send("start_track_recording", **refused, **people)
    for number in range(3):
        letter = {"id": f"start-2{number}", "meeting_id": str(uuid.uuid4())}
        await send("start_track_recording", **letter, user_idz=["dora"])
    for number in range(2):
        await send("start_track_recording", id=f"start-3{number}", meeting_id="the weekly one")
    for number in range(LIVE):
        await outcome(f"start-{number + 1}")
    await client.until(
        lambda events: count_running(events) >= LIVE or None,
        within=60,
        description="the recordings",
    )
    await send("pause_recording", id="pause-1", start_id="start-3")
    refusal = await outcome("refused-2")
    assert isinstance(refusal, CommandRejected)
    await outcome("pause-1")
    await outcome("start-31")
    return {"recording": "weekly-sync-q4-start", "command": "refused-2"}


def count_running(events: list[CloudEvent]) -> int:
    """The number of recordings that were seen running."""
    return len(
        {
            event.data.recording_id
            for event in events
            if isinstance(event.data, StatusChanged) and event.data.status is Status.RECORDING
        }
    )


async def take(plan: dict[str, str]) -> None:
    """Let the browser take the pictures into the folder of the plan."""
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), stdin=asyncio.subprocess.PIPE, cwd=SCRIPT.parent
    )
    await process.communicate(json.dumps(plan).encode())
    if process.returncode:
        raise SystemExit("the browser could not take the pictures")


def keep(folder: Path) -> None:
    """Write the pictures into the documents, in few colours, which makes them small."""
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
            small.save(IMAGES / f"console-{path.name}", optimize=True)
            print(IMAGES / f"console-{path.name}")


async def main() -> None:
    """Take all pictures."""
    ensure_program("chromium", package="chromium")
    with tempfile.TemporaryDirectory() as name:
        folder, shots = Path(name), Path(name) / "shots"
        shots.mkdir()
        async with demo(folder) as entry:
            variables, urls = entry["environment"], entry["addresses"]
            prefix = variables["WORKER_NAME_PREFIX"]
            async with WorkerClient(variables["AMQP_URL"], prefix) as client:
                plan = await make_it_busy(client)
            place = {
                "base": urls["console_url"],
                "token": urls["console_token"],
                "chromium": str(shutil.which("chromium")),
                "folder": str(shots),
            }
            await take(plan | place)
        keep(shots)


if __name__ == "__main__":
    asyncio.run(main())
