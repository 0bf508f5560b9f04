"""The services of a scenario: the emulated API in a separate process, a subscriber, a publisher."""

import asyncio
import random
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aio_pika
import aiohttp
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.contestant_environ import process_environ
from benchmarks.tracking.results import RATE_LIMITS, LoadProfile
from recording_sandbox.model.log_entries import AnyEntry
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import eventually
from recording_schemas import Kind

PREFIX: Final = "tracking"
APP: Final = "app"
AT_ONCE: Final = 20
"""Concurrent requests to the control plane."""

ACKNOWLEDGED_AT_ONCE: Final = 100
"""Events that are acknowledged together."""


class EmulatedApi:
    """The emulated API as a process, controlled through its control plane."""

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

        await eventually(answers, seconds=30, description="the sandbox")

    async def state(self) -> dict[str, Any]:
        """The state that the API reports: counts and breaches."""
        async with self._http.get(f"{self.url}/sandbox") as answer:
            state: dict[str, Any] = await answer.json()
            return state

    async def fill(self, count: int, per_second: float, kind: Kind) -> None:
        """Another program starts this many recordings, each in a different meeting with three
        people."""

        async def start() -> None:
            meeting = str(uuid.uuid4())
            body = {"kind": kind, "app_id": APP, "meeting_id": meeting}
            async with self._http.post(f"{self.url}/sandbox/recordings", json=body) as answer:
                self.meetings[(await answer.json())["id"]] = meeting

        await _evenly((start for _ in range(count)), per_second)

    async def limit(self) -> None:
        """Set the real limits from now on."""
        await self._change({"rate_limits": RATE_LIMITS})

    async def _change(self, behaviour: Mapping[str, object]) -> None:
        async with self._http.patch(f"{self.url}/sandbox/behaviour", json=behaviour) as answer:
            answer.raise_for_status()

    async def answered(self, operation: str) -> int:
        """The number of executed requests of this operation."""
        counts = (await self.state())["counts"]
        prefix = f"request.{operation}.2"
        return sum(count for name, count in counts.items() if name.startswith(prefix))

    async def end_some(self, per_second: float, seconds: float) -> list[str]:
        """End some recordings at an even rate; returns their ids."""
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
        """End all recordings at an even rate within this many seconds, in random order; returns
        their ids."""
        ended = random.sample(sorted(self.meetings), len(self.meetings))

        async def stop(recording_id: str) -> None:
            url = f"{self.url}/sandbox/recordings/{recording_id}"
            async with self._http.put(url, json={"status": "UPLOADED"}) as answer:
                answer.raise_for_status()

        self.meetings.clear()
        await _evenly((partial(stop, recording_id) for recording_id in ended), len(ended) / seconds)
        return ended

    def request_log(self, since: float = 0.0) -> list[AnyEntry]:
        """The entries of the request log since then (epoch seconds), in order."""
        decoder = msgspec.json.Decoder(AnyEntry)
        with self._request_log.open("rb") as lines:
            entries = (decoder.decode(line) for line in lines if line.endswith(b"\n"))
            return [entry for entry in entries if entry.at >= since]


async def _evenly(jobs: Iterable[Callable[[], Awaitable[None]]], per_second: float) -> None:
    """Start `per_second` jobs a second, in order, up to the API's limit of concurrent requests."""
    begin, numbered = time.monotonic(), enumerate(jobs)

    async def work() -> None:
        for number, job in numbered:
            await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            await job()

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(work())


@asynccontextmanager
async def emulated_api(
    directory: Path, profile: LoadProfile, *, limited: bool = True
) -> AsyncIterator[EmulatedApi]:
    """An API without recordings; with the real limits, unless they are set later."""
    (port,) = free_ports(1)
    request_log = directory / "request_log.jsonl"
    request_log.unlink(missing_ok=True)
    behaviour = {
        "rate_limits": msgspec.json.encode(RATE_LIMITS if limited else ()).decode(),
        "uploading_seconds": str(profile.upload_seconds),
        # The format of the real API, which names the owner of each file: one request per recording.
        "track_download_url": "links",
    }
    behaviour_flags = [
        word for name, value in behaviour.items() for word in ("--set", f"{name}={value}")
    ]
    process = OwnedProcess(
        [
            *(sys.executable, "-m", "recording_sandbox", "--port", str(port)),
            *("--request-log", str(request_log), "--request-log-limit", "1000", *behaviour_flags),
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
    """A subscriber. It notes the first arrival of each status, of the files, and of the
    completion."""

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, str], float] = {}
        self.files: dict[str, list[float]] = {}
        self.completed: dict[str, float] = {}
        self.count = 0

    def add(self, body: bytes) -> None:
        """Record an event that has just arrived."""
        now, event = time.time(), msgspec.json.decode(body, type=_Event)
        self.count += 1
        recording_id, status = event.data.recording_id, event.data.status
        match event.type:
            case "recording.status_changed.v1":
                self.statuses.setdefault((recording_id, status or ""), now)
            case "recording.file_ready.v1":
                self.files.setdefault(recording_id, []).append(now)
            case "recording.completed.v1":
                self.completed.setdefault(recording_id, now)

    def have(self, recordings: Iterable[str], status: str) -> bool:
        """Whether each recording has an event with this status."""
        return all((recording_id, status) in self.statuses for recording_id in recordings)


@asynccontextmanager
async def listening(amqp_url: str) -> AsyncIterator[EventTimes]:
    """Consumes events from the worker's exchanges, which must exist."""
    received = EventTimes()

    async def on_event(message: AbstractIncomingMessage) -> None:
        received.add(message.body)
        if received.count % ACKNOWLEDGED_AT_ONCE == 0:
            await message.ack(multiple=True)

    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        # The broker ends a connection that takes nothing for half a minute, on a busy machine.
        await channel.set_qos(prefetch_count=10 * ACKNOWLEDGED_AT_ONCE)
        queue = await channel.declare_queue(exclusive=True)
        for purpose in ("status", "files"):
            await queue.bind(f"{PREFIX}.{purpose}", "#")
        await queue.consume(on_event)
        yield received


async def stop_one_by_one(
    amqp_url: str, recordings: Sequence[str], pause: float, sent: dict[str, float]
) -> None:
    """Publish a stop command for one recording after another; `sent` gets the times by id."""
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
            sent[recording_id] = time.time()
            message = aio_pika.Message(msgspec.json.encode(command))
            await exchange.publish(message, routing_key="stop_recording")
