"""`recording-worker status` with a worker, without one, and without an answer."""

import signal
import socket
import time
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.waiting import Eventually
from tests.integration.cli_process import CommandLine, FinishedProcess


def cli_of(directory: Path, sqlite_url: str, amqp_url: str, **more: str) -> CommandLine:
    environ = {"DATABASE_URL": sqlite_url, "AMQP_URL": amqp_url, "HTTP_PORT": "1"}
    return CommandLine({**environ, **more}, directory)


def states(shown: FinishedProcess) -> dict[str, str]:
    return {check["name"]: check["state"] for check in shown.lines[0]["checks"]}


async def test_a_running_worker_is_well_and_a_killed_one_is_not(
    amqp_url: str, names_prefix: str, sqlite_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with Sandbox(SandboxOptions()) as sandbox:
        cli = cli_of(
            *(tmp_path, sqlite_url, amqp_url),
            WORKER_NAME_PREFIX=names_prefix,
            WORKER_SWEEP_INTERVAL_SECONDS="0.1",
            REALTIMEKIT_ACCOUNT_ID="account",
            REALTIMEKIT_APP_ID="app",
            REALTIMEKIT_API_TOKEN="hunter2-hunter2",  # noqa: S106
            REALTIMEKIT_BASE_URL=sandbox.base_url,
            HTTP_HOST="127.0.0.1",
            HTTP_PORT="0",
        )
        async with cli.running("run") as worker:
            port = (await worker.says("started")).partition('"http_port":')[2].partition(",")[0]
            flags = ("status", "--worker-url", f"http://127.0.0.1:{port.strip(' }')}")

            async def is_well() -> bool:
                return "sweep" in states(shown := await cli(*flags)) and shown.code == 0

            await eventually(is_well)
            shown, screen = await cli(*flags), await cli(*flags, "--no-json")
            async with cli.running(*flags, "--watch", "--interval", "0.2") as watch:
                lines = [await watch.line() for _ in range(2)]
                watch.signal(signal.SIGINT)
                ended = await watch.end()
            worker.signal(signal.SIGTERM)
            await worker.end()
        after = await cli(*flags)

    assert (shown.lines[0]["healthy"], shown.lines[0]["checks_from"]) == (True, "worker")
    assert states(shown) == dict.fromkeys(
        ("worker", "publishing", "consuming", "answering", "store", "api", "leader", "recordings",
         "outbox", "budget", "sweep", "webhooks", "waiting", "archive", "queue",
         "dead letters"), "ok"
    )  # fmt: skip
    assert screen.out.startswith("Healthy\n")
    assert max(map(len, screen.out.splitlines())) <= 80
    assert "hunter2" not in shown.out + screen.out
    assert all('"healthy":true' in line for line in lines)
    assert ended.code == 0
    assert (after.code, after.lines[0]["checks_from"]) == (1, "state")
    assert states(after)["worker"] == states(after)["leader"] == states(after)["queue"] == "failed"


async def test_status_ends_in_seconds_and_names_each_silent_service(
    sqlite_url: str, tmp_path: Path
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # connects, and never answers
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    cli = cli_of(
        tmp_path, f"postgresql://me:hunter2@{address}/state", f"amqp://me:hunter2@{address}/"
    )

    began = time.monotonic()
    shown = await cli("status", "--worker-url", f"http://{address}")
    seconds = time.monotonic() - began

    silent.close()
    assert shown.code == 2
    assert states(shown) == dict.fromkeys(("worker", "api", "database", "broker"), "unknown")
    assert seconds < 20  # a time-out of 5 s, with a margin for busy machines
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://h", "http://", "http://h:x", "http://h:0"]
)
async def test_a_wrong_url_of_a_worker_is_named(sqlite_url: str, tmp_path: Path, url: str) -> None:
    ended = await cli_of(tmp_path, sqlite_url, "amqp://h")("status", "--worker-url", url)

    assert ended.code == 2
    assert "--worker-url" in ended.err


@pytest.mark.parametrize("body", [b"hello", b'{"ok":true,"checks":{"\xff":1}}', b"[" * 100_000])
async def test_an_address_that_is_no_worker_is_named_and_the_rest_is_shown(
    amqp_url: str, sqlite_url: str, tmp_path: Path, body: bytes
) -> None:
    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=body)

    async with RawTestServer(answer) as server:
        cli = cli_of(tmp_path, sqlite_url, amqp_url)
        shown = await cli("status", "--worker-url", str(server.make_url("/")))

    assert not shown.err
    (worker,) = [check for check in shown.lines[0]["checks"] if check["name"] == "worker"]
    assert "not that of a worker" in worker["text"]
