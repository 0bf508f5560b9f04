"""What a scenario uses: the emulated API in a process of its own, workers, and a subscriber."""

import asyncio
import random
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aio_pika
import aiohttp
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.contestant_process import process_environ
from benchmarks.tracking.results import RATE_LIMITS, LoadProfile, Scenario
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.model.log_entries import AnyEntry
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import Kind

PREFIX: Final = "tracking"
APP: Final = "app"
AT_ONCE: Final = 20
"""So many requests to the control plane at a time."""


class EmulatedApi:
    """The emulated API as a process, steered by its control plane."""

    def __init__(
        self, process: OwnedProcess, http: aiohttp.ClientSession, request_log: Path
    ) -> None:
        self._process = process
        self._http = http
        self._request_log = request_log
        self.url = ""
        self.meetings: dict[str, str] = {}
        """The live recordings, each with its meeting."""

    async def wait_ready(self, url: str) -> None:
        """Return when it answers."""
        self.url = url

        async def answers() -> bool:
            try:
                return bool(await self.state())
            except aiohttp.ClientError:
                return False

        await eventually(answers, seconds=30, what="the sandbox")

    async def state(self) -> dict[str, object]:
        """Its own account: counts and breaches."""
        async with self._http.get(f"{self.url}/sandbox") as answer:
            told: dict[str, object] = await answer.json()
            return told

    async def fill(self, count: int, per_second: float, kind: Kind) -> None:
        """Somebody starts so many recordings, each in a meeting of its own with three people."""
        begin, turns = time.monotonic(), asyncio.Semaphore(AT_ONCE)

        async def start(number: int) -> None:
            await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            meeting = str(uuid.uuid4())
            body = {"kind": kind, "app_id": APP, "meeting_id": meeting}
            async with turns, self._http.post(f"{self.url}/sandbox/recordings", json=body) as told:
                self.meetings[(await told.json())["id"]] = meeting

        async with asyncio.TaskGroup() as starting:
            for number in range(count):
                starting.create_task(start(number))

    async def end_some(self, per_second: float, seconds: float) -> list[str]:
        """End recordings evenly, whichever; their ids."""
        count = min(len(self.meetings), round(per_second * seconds))
        ended = random.sample(sorted(self.meetings), count)
        begin = time.monotonic()
        async with asyncio.TaskGroup() as ending:
            for number, recording_id in enumerate(ended):
                await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
                ending.create_task(self._end(self.meetings.pop(recording_id)))
        return ended

    async def _end(self, meeting_id: str) -> None:
        async with self._http.post(f"{self.url}/sandbox/meetings/{meeting_id}/end") as answer:
            answer.raise_for_status()

    async def end_all(self, seconds: float) -> list[str]:
        """Have all recordings end evenly within so many seconds, in any order; their ids."""
        ended = random.sample(sorted(self.meetings), len(self.meetings))
        per_second = len(ended) / seconds
        begin, turns = time.monotonic(), asyncio.Semaphore(AT_ONCE)

        async def stop(number: int, recording_id: str) -> None:
            await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            url = f"{self.url}/sandbox/recordings/{recording_id}"
            async with turns, self._http.put(url, json={"status": "UPLOADED"}) as answer:
                answer.raise_for_status()

        async with asyncio.TaskGroup() as stopping:
            for number, recording_id in enumerate(ended):
                self.meetings.pop(recording_id)
                stopping.create_task(stop(number, recording_id))
        return ended

    def request_log(self) -> list[AnyEntry]:
        """Everything that it was asked and did, in order."""
        decoder = msgspec.json.Decoder(AnyEntry)
        with self._request_log.open("rb") as lines:
            return [decoder.decode(line) for line in lines if line.endswith(b"\n")]


@asynccontextmanager
async def emulated_api(directory: Path, profile: LoadProfile) -> AsyncIterator[EmulatedApi]:
    """An API with the real limits and nobody in it."""
    (port,) = free_ports(1)
    request_log = directory / "request_log.jsonl"
    request_log.unlink(missing_ok=True)
    behaviour = {
        "rate_limits": msgspec.json.encode(RATE_LIMITS).decode(),
        "uploading_seconds": str(profile.upload_seconds),
        # The shape met live, which tells whose each file is: one request for each recording.
        "track_download_url": "links",
    }
    told = [word for name, value in behaviour.items() for word in ("--set", f"{name}={value}")]
    process = OwnedProcess(
        [
            *(sys.executable, "-m", "recording_sandbox", "--port", str(port)),
            *("--request-log", str(request_log), "--request-log-limit", "1000", *told),
        ],
        environ=process_environ({}),
        log=directory / "sandbox.log",
    )
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    try:
        async with aiohttp.ClientSession(connector=connector) as http:
            api = EmulatedApi(process, http, request_log)
            await api.wait_ready(f"http://127.0.0.1:{port}")
            yield api
    finally:
        await asyncio.to_thread(process.end, signal.SIGTERM, seconds=10)


class _Data(msgspec.Struct):
    recording_id: str
    status: str | None = None


class _Event(msgspec.Struct):
    type: str
    data: _Data


class EventTimes:
    """A subscriber: when each status of a recording, each of its files and its end first came."""

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, str], float] = {}
        self.files: dict[str, list[float]] = {}
        self.completed: dict[str, float] = {}

    def hear(self, body: bytes) -> None:
        """Take down an event that came just now."""
        now, event = time.time(), msgspec.json.decode(body, type=_Event)
        recording_id, status = event.data.recording_id, event.data.status
        match event.type:
            case "recording.status_changed.v1":
                self.statuses.setdefault((recording_id, status or ""), now)
            case "recording.file_ready.v1":
                self.files.setdefault(recording_id, []).append(now)
            case "recording.completed.v1":
                self.completed.setdefault(recording_id, now)

    def have(self, recordings: Iterable[str], status: str) -> bool:
        """Whether this status was told of each of them."""
        return all((one, status) in self.statuses for one in recordings)


@asynccontextmanager
async def listening(amqp_url: str) -> AsyncIterator[EventTimes]:
    """Ears at the worker's exchanges, which must exist."""
    received = EventTimes()

    async def hear(message: AbstractIncomingMessage) -> None:
        received.hear(message.body)

    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for purpose in ("status", "files"):
            await queue.bind(f"{PREFIX}.{purpose}", "#")
        await queue.consume(hear, no_ack=True)
        yield received


async def stop_one_by_one(
    amqp_url: str, recordings: Sequence[str], pause: float, sent: list[float]
) -> None:
    """Command the worker to stop one recording after another; `sent` gets the moments."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        exchange = await (await connection.channel()).get_exchange(f"{PREFIX}.commands")
        for number, recording_id in enumerate(recordings):
            await asyncio.sleep(pause)
            command = {
                "type": "stop_recording",
                "id": f"stop-{number}",
                "recording_id": recording_id,
            }
            sent.append(time.time())
            message = aio_pika.Message(msgspec.json.encode(command))
            await exchange.publish(message, routing_key="stop_recording")


@asynccontextmanager
async def workers(
    scenario: Scenario,
    api: EmulatedApi,
    node: RabbitMQNode,
    database: PostgreSQLServer,
    directory: Path,
) -> AsyncIterator[Sequence[WorkerProcess]]:
    """The scenario's workers, ready; webhooks go to the last, which is not the one that leads."""
    url = await asyncio.to_thread(database.new_database)
    ports = free_ports(scenario.replicas)
    settings = {
        "AMQP_URL": node.amqp_url,
        "DATABASE_URL": url,
        "LOG_LEVEL": "warning",
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_API_TOKEN": "secret",
        "REALTIMEKIT_APP_ID": APP,
        "REALTIMEKIT_BASE_URL": f"{api.url}/client/v4",
        "REALTIMEKIT_WEBHOOK_KEY_URL": f"{api.url}/.well-known/webhooks.json",
        "WORKER_FOLLOW_ALL": "on",
        "WORKER_NAME_PREFIX": PREFIX,
    }
    if scenario.webhooks:
        settings["WORKER_PUBLIC_URL"] = f"http://127.0.0.1:{ports[-1]}"
    async with AsyncExitStack() as stack:
        running = []
        for number, port in enumerate(ports):
            home = directory / f"worker-{number}"
            home.mkdir(exist_ok=True)
            one = WorkerProcess({**settings, "HTTP_PORT": str(port)}, home)
            await one.start()
            stack.push_async_callback(one.stop)
            await one.ready()
            running.append(one)
        yield running
