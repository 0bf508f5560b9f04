"""`recording-worker demo`, as after a fresh clone of the project."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.examples.virtual_host import VirtualHost

COMMAND = Path(sys.executable).with_name("recording-worker")
TIME_LIMIT = 100


@asynccontextmanager
async def running(
    directory: Path, *flags: str, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The demo in an empty directory, where it also writes its temporary files."""
    inherited = {name: value for name, value in os.environ.items() if name != "AMQP_URL"}
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "demo",
        *flags,
        cwd=directory,
        env={**inherited, "TMPDIR": str(directory), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def output(process: asyncio.subprocess.Process) -> tuple[str, str]:
    """Its stdout and stderr, once it has ended."""
    async with asyncio.timeout(TIME_LIMIT):
        out, err = await process.communicate()
    return out.decode(), err.decode()


async def test_the_demo_shows_who_owns_each_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(tmp_path) as demo:
        out, err = await output(demo)
    assert (demo.returncode, err) == (0, "")
    table = out[out.index("\nowner ") :].split("\n\n")[0].strip().splitlines()
    assert Counter(row.split()[0] for row in table[1:]) == {"ana": 1, "ben": 2}
    assert sum("rejoined" in row for row in table) == 2
    manifest = out[out.index("\nperson ") :].split("\n\n")[0].strip().splitlines()
    assert [row.split()[:2] for row in sorted(manifest[1:])] == [
        ["ana", "yes"],
        ["ben", "yes"],
        ["ben", "yes"],
        ["cleo", "no"],
    ]
    assert sum("no file" in row for row in manifest) == 1
    kinds = {line.split()[2] for line in out.splitlines() if line.split()[1:2] == ["s"]}
    assert kinds >= {"meeting", "command", "request", "status", "file", "done", "outcome"}
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def virtual_host(rabbitmq: RabbitMQNode) -> Iterator[VirtualHost]:
    """Remove the names of other demos, which may run at the same time."""
    host = VirtualHost(rabbitmq)
    yield host
    host.delete()


# One test, because each run of the demo costs seconds.
async def test_a_kept_demo_prints_json_shows_all_in_the_console_and_deletes_its_names_at_its_end(
    virtual_host: VirtualHost, tmp_path: Path
) -> None:
    flags = ("--keep", "--json", "--speed", "40")
    async with running(tmp_path, *flags, AMQP_URL=virtual_host.amqp_url) as demo:
        lines = await lines_until_it_is_kept(demo)
        await shows_everything_in_the_console(lines[-1]["facts"]["addresses"])
        demo.send_signal(signal.SIGTERM)
        out, err = await output(demo)
    assert (demo.returncode, err) == (0, "")
    lines += [msgspec.json.decode(line) for line in out.splitlines()]
    names_the_owner_of_each_file([line for line in lines if "tracks" in line])
    assert await asyncio.to_thread(virtual_host.list_queues) == "[]"
    exchanges = await asyncio.to_thread(virtual_host.list_exchanges)
    assert "amq.topic" in exchanges
    assert "demo-" not in exchanges


async def lines_until_it_is_kept(demo: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """Its output up to the addresses of the services that it keeps running."""
    assert demo.stdout is not None
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(TIME_LIMIT):
        while not lines or "addresses" not in lines[-1].get("facts", {}):
            lines.append(msgspec.json.decode(await demo.stdout.readline()))
    return lines


async def shows_everything_in_the_console(addresses: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {addresses['console_token']}"}
    async with aiohttp.ClientSession(addresses["console_url"], headers=headers) as http:
        async with http.get("/") as page:
            html = await page.text()
        async with http.get("/api/session") as response:
            session = await response.json()
        async with http.get("/api/recordings?status=ended") as response:
            recordings = (await response.json())["recordings"]
        async with http.get("/api/now") as response:
            checks = {check["name"]: check["text"] for check in (await response.json())["checks"]}
    assert "Recording console" in html
    assert (checks["worker"], "api" in checks) == (f"answers at {addresses['worker_url']}", True)
    assert session["may_act"] is True
    assert [row["file_count"] for row in recordings] == [3]


def names_the_owner_of_each_file(results: list[dict[str, Any]]) -> None:
    """The demo's table, as JSON."""
    (result,) = results
    assert result["deviations"] == []
    assert [file["state"] for file in result["manifest"]["files"]] == ["archived"] * 3
    stays = [
        (track["custom_participant_id"], track["stay"], track["stays"])
        for track in result["tracks"]
    ]
    assert stays == [("ana", 1, 1), ("ben", 1, 2), ("ben", 2, 2)]
    assert all(track["seconds"] > 1 and track["url_expiry"] for track in result["tracks"])


@pytest.mark.parametrize("is_silent", [True, False])
async def test_a_broker_that_is_not_there_is_one_clear_line_within_seconds(
    tmp_path: Path, is_silent: bool
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))  # connects, and never answers
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    if not is_silent:
        listening.close()
    began = time.monotonic()
    async with running(tmp_path, AMQP_URL=f"amqp://me:hunter2@{address}/") as demo:
        _, err = await output(demo)
    listening.close()

    assert demo.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith(f"Error: AMQP_URL: no connection to RabbitMQ at {address}: ")
    assert "hunter2" not in line
    assert time.monotonic() - began < 30  # of which the demo takes six at most
    assert list(tmp_path.iterdir()) == []


async def test_ctrl_c_stops_the_worker_and_leaves_no_file(
    rabbitmq: RabbitMQNode, tmp_path: Path
) -> None:
    async with running(tmp_path, AMQP_URL=rabbitmq.amqp_url) as demo:
        assert demo.stdout is not None
        async with asyncio.timeout(TIME_LIMIT):
            async for line in demo.stdout:
                if b"the worker is ready" in line:
                    break
        worker = int(line.split(b"process ")[1].split(b",")[0])
        demo.send_signal(signal.SIGINT)
        await output(demo)
    assert demo.returncode == 130
    assert not Path(f"/proc/{worker}").exists()
    assert list(tmp_path.iterdir()) == []
