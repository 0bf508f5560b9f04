"""Measurements of this worker alone, on SQLite: a long history, many files, and idle time."""

import asyncio
import os
import shutil
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aio_pika
import msgspec
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.bench_environment import PREFIX, TOPOLOGY, BenchEnvironment
from benchmarks.contestant_environ import process_environ
from benchmarks.contestant_list import BENCH_PYTHON, contestants_named
from benchmarks.contestant_process import run_contestant
from benchmarks.finished_recordings import grow
from benchmarks.results import WorkerAloneResults
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import eventually

IDLE_SECONDS: Final = 10.0
EVENT_BYTES: Final = 1_100
"""The usual size of a file's event, which the bare publisher sends, too."""

WINDOWS: Final = (1, 100)
_OUTCOMES_TIMEOUT_SECONDS: Final = 120.0
_FILES_KEY: Final = "track.audio.ready"


class WorkloadSizes(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of the measurements."""

    commands: int
    rounds: int
    history: int = 1_000_000
    files: int = 10_000


async def measure_worker_alone(
    environment: BenchEnvironment, sizes: WorkloadSizes, say: Callable[[str], None]
) -> WorkerAloneResults:
    """Measure everything, one after the other."""
    say("idle")
    idle_cpu, idle_rss = await _idle(environment)
    say(f"{sizes.files} file events of one recording")
    files, bare, in_order = [], {window: list[float]() for window in WINDOWS}, True
    for _ in range(sizes.rounds):
        rate, ordered = await _files(environment, sizes.files)
        files.append(rate)
        in_order &= ordered
        for window in WINDOWS:
            bare[window].append(await _bare_publish(environment, sizes.files, window))
    say(f"{sizes.history} finished recordings")
    cpu_empty, cpu_million = await _history(environment, sizes)
    return WorkerAloneResults(
        cpu_empty=cpu_empty,
        cpu_million=cpu_million,
        files_per_second=files,
        bare_publish=bare,
        files_in_order=in_order,
        idle_cpu=idle_cpu,
        idle_rss=idle_rss,
    )


async def _idle(environment: BenchEnvironment) -> tuple[float, int]:
    """The CPU share and the resident bytes of an idle worker."""
    (worker,) = contestants_named("sqlite")
    async with run_contestant(worker, environment) as contestant_process:
        await asyncio.sleep(1.0)  # the work of a start
        before, since = contestant_process.usage.cpu, time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        after = contestant_process.usage
        return (after.cpu - before) / (time.monotonic() - since), after.rss


async def _history(
    environment: BenchEnvironment, sizes: WorkloadSizes
) -> tuple[list[float], list[float]]:
    """CPU per command with an empty and with a long history; each pair on fresh copies.

    There are twice as many pairs as rounds, in alternating order: the difference is smaller than
    the machine's own variation from one minute to the next.
    """
    grown = environment.directory / "grown.db"
    await grow(grown, sizes.history)
    empty: list[float] = []
    million: list[float] = []
    for number in range(2 * sizes.rounds):
        copy = environment.directory / "copy.db"
        await asyncio.to_thread(_copy, grown, copy)
        pair = [(empty, None), (million, f"sqlite:///{copy}")]
        for costs, database in pair if number % 2 else reversed(pair):
            costs.append(await _cost(environment, sizes.commands, database))
        _remove(copy)
    _remove(grown)
    return empty, million


async def _cost(environment: BenchEnvironment, commands: int, database: str | None) -> float:
    """CPU per command on this database, or on an empty one."""
    (worker,) = contestants_named("sqlite")
    async with run_contestant(worker, environment, database=database) as contestant_process:
        return (await contestant_process.burst(commands, delay=0.0)).cpu_ms


def _copy(database: Path, copy: Path) -> None:
    """Copy in pages, as SQLite writes a growing database.

    Linux keeps a file that is written at once in larger pieces, and each small write to it costs
    more.
    """
    with database.open("rb") as source, copy.open("wb", buffering=0) as target:
        shutil.copyfileobj(source, target, 4096)
    os.sync()  # else two gigabytes are on their way to the disk


def _remove(database: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()


async def _files(environment: BenchEnvironment, count: int) -> tuple[float, bool]:
    """Events a second, and whether they are in order: a recording with this many files is read."""
    (worker,) = contestants_named("sqlite")
    async with (
        run_contestant(worker, environment) as contestant_process,
        _received_events(environment) as received,
    ):
        await contestant_process.api.configure(files=count)
        command = {"type": "sync_recording", "id": str(uuid.uuid4())}
        body = msgspec.json.encode({**command, "recording_id": str(uuid.uuid4())})
        connection = await aio_pika.connect(environment.node.amqp_url)
        async with connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(TOPOLOGY.exchange("commands"))
            await exchange.publish(aio_pika.Message(body), "sync_recording")
        rate = await _rate(received, count)
    indexes = [msgspec.json.decode(body, type=_File).data.file_index for _, body in received]
    return rate, indexes == list(range(1, count + 1))


class _Index(msgspec.Struct):
    file_index: int


class _File(msgspec.Struct):
    data: _Index


async def _bare_publish(environment: BenchEnvironment, count: int, window: int) -> float:
    """Events a second of a bare publisher, measured at a consumer like the worker's."""
    environ = {
        "BENCH_AMQP_URL": environment.node.amqp_url,
        "BENCH_EXCHANGE": TOPOLOGY.exchange("files"),
    }
    unused = {"BENCH_QUEUE": "", "BENCH_API_URL": "", "BENCH_IN_FLIGHT": "0"}
    module = "benchmarks.contestants.publisher"
    async with _received_events(environment) as received:
        process = OwnedProcess(
            [str(BENCH_PYTHON), "-m", module, *map(str, (count, window, EVENT_BYTES))],
            environ=process_environ({**environ, **unused}),
            log=environment.directory / "publisher.log",
        )
        try:
            return await _rate(received, count)
        finally:
            process.end(signal.SIGTERM, seconds=5)


Arrivals = list[tuple[float, bytes]]


@asynccontextmanager
async def _received_events(environment: BenchEnvironment) -> AsyncIterator[Arrivals]:
    """The arrival and the body of each file event, in a durable queue like a subscriber's."""
    received: Arrivals = []

    async def on_message(message: AbstractIncomingMessage) -> None:
        received.append((time.monotonic(), message.body))

    connection = await aio_pika.connect(environment.node.amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{PREFIX}.files-received", durable=True)
        await queue.bind(TOPOLOGY.exchange("files"), _FILES_KEY)
        tag = await queue.consume(on_message, no_ack=True)
        yield received
        await queue.cancel(tag)
        await queue.delete(if_unused=False, if_empty=False)


async def _rate(received: Arrivals, count: int) -> float:
    await eventually(lambda: len(received) >= count, seconds=_OUTCOMES_TIMEOUT_SECONDS)
    return (count - 1) / (received[count - 1][0] - received[0][0])
