"""The contestants: how each is started, and the form in which each gets a start command."""

import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import aio_pika
import msgspec

ROOT: Final = Path(__file__).parents[1]
BENCH_PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
IN_FLIGHT: Final = 100
TYPE: Final = "start_track_recording"


class StartCommand(msgspec.Struct, frozen=True):
    """A start command to send."""

    id: str
    meeting_id: str

    @property
    def fields(self) -> dict[str, object]:
        """Its JSON object."""
        layers = {"default": {"media_kind": "audio", "file_name_prefix": "weekly_sync"}}
        return {"type": TYPE, "id": self.id, "meeting_id": self.meeting_id, "layers": layers}


Form = Callable[[StartCommand], aio_pika.Message]


def plain(start: StartCommand) -> aio_pika.Message:
    """The command itself as JSON."""
    return _message(start.fields)


def for_taskiq(start: StartCommand) -> aio_pika.Message:
    """As `kiq` of taskiq sends it."""
    task = {"task_id": start.id, "task_name": TYPE, "labels": {}, "labels_types": {}}
    return _message({**task, "args": [], "kwargs": {"body": start.fields}})


def for_dramatiq(start: StartCommand, queue: str = "bench.commands") -> aio_pika.Message:
    """As `send` of Dramatiq sends it."""
    return _message(
        {
            "queue_name": queue,
            "actor_name": TYPE,
            "args": [],
            "kwargs": {"body": start.fields},
            "options": {},
            "message_id": start.id,
            "message_timestamp": round(time.time() * 1000),
        }
    )


def for_celery(start: StartCommand) -> aio_pika.Message:
    """As `apply_async` of Celery sends it, protocol 2."""
    chain = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers = {"lang": "py", "task": TYPE, "id": start.id, "root_id": start.id}
    return _message([[], {"body": start.fields}, chain], headers)


def _message(body: object, headers: Mapping[str, str] | None = None) -> aio_pika.Message:
    return aio_pika.Message(
        msgspec.json.encode(body),
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=dict(headers or {}),
    )


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """`command` runs with this job's settings in its environment. `keeps` names its guarantees.

    `database`: where it keeps its state, `sqlite` or `postgresql`; None if it keeps no state.
    `is_ours`: it is this worker. A `share` of the commands is enough for the slow ones. `in_flight`
    is the number of commands that it processes at a time.
    """

    name: str
    label: str
    command: tuple[str, ...]
    form: Form = plain
    database: str | None = None
    is_ours: bool = False
    share: float = 1.0
    in_flight: int = IN_FLIGHT


def _bench(*words: str) -> tuple[str, ...]:
    return (str(BENCH_PYTHON), "-m", *words)


_DEFAULT_PREFETCH: Final = 500
_WORKER: Final = (sys.executable, "-m", "worker", "run")
_ROOM: Final = "benchmarks.contestants"

CONTESTANTS: Final = (
    Contestant(
        name="bare",
        label="bare aio-pika, httpx on aiohttp",
        command=_bench(f"{_ROOM}.bare", "aiohttp"),
    ),
    Contestant(
        name="bare-500",
        label="the same, 500 in flight",
        command=_bench(f"{_ROOM}.bare", "aiohttp"),
        in_flight=500,
    ),
    Contestant(
        name="bare-httpx",
        label="bare aio-pika, stock httpx",
        command=_bench(f"{_ROOM}.bare", "httpx"),
        share=0.25,
    ),
    Contestant(
        name="faststream",
        label="FastStream, stock httpx",
        command=_bench(f"{_ROOM}.on_faststream"),
        share=0.25,
    ),
    Contestant(
        name="taskiq",
        label="taskiq-aio-pika, stock httpx",
        command=_bench(
            "taskiq", "worker", f"{_ROOM}.on_taskiq:broker", "--workers", "1",
            "--max-async-tasks", str(IN_FLIGHT), "--ack-type", "when_executed",
            "--log-level", "WARNING",
        ),
        form=for_taskiq,
        share=0.25,
    ),
    Contestant(
        name="rabbitkit",
        label="rabbitkit, stock httpx",
        command=_bench(f"{_ROOM}.on_rabbitkit"),
        share=0.25,
    ),
    Contestant(
        name="dramatiq",
        label="Dramatiq, threads, stock httpx",
        command=_bench(
            "dramatiq", f"{_ROOM}.on_dramatiq", "--processes", "1", "--threads", str(IN_FLIGHT)
        ),
        form=for_dramatiq,
        share=0.25,
    ),
    Contestant(
        name="celery",
        label="Celery, threads, stock httpx",
        command=_bench(
            "celery", "-A", f"{_ROOM}.on_celery", "worker", "--pool", "threads",
            "--concurrency", str(IN_FLIGHT), "--without-gossip", "--without-mingle",
            "--without-heartbeat", "--loglevel", "WARNING",
        ),
        form=for_celery,
        share=0.25,
    ),
    Contestant(
        name="dbos-sqlite",
        label="DBOS Transact on SQLite, stock httpx",
        command=_bench(f"{_ROOM}.on_dbos"),
        database="sqlite",
        share=0.05,
    ),
    Contestant(
        name="dbos-postgresql",
        label="DBOS Transact on PostgreSQL, stock httpx",
        command=_bench(f"{_ROOM}.on_dbos"),
        database="postgresql",
        share=0.05,
    ),
    Contestant(
        name="procrastinate",
        label="procrastinate on PostgreSQL, stock httpx",
        command=_bench(f"{_ROOM}.on_procrastinate"),
        database="postgresql",
        share=0.1,
    ),
    Contestant(
        name="sqlite",
        label="this worker on SQLite, 500 in flight",
        command=_WORKER,
        is_ours=True,
        database="sqlite",
        in_flight=_DEFAULT_PREFETCH,
    ),
    Contestant(
        name="postgresql",
        label="this worker on PostgreSQL, 500 in flight",
        command=_WORKER,
        is_ours=True,
        database="postgresql",
        in_flight=_DEFAULT_PREFETCH,
    ),
)  # fmt: skip


def contestants_named(names: str) -> tuple[Contestant, ...]:
    """Those of a comma-separated list, in their order here; all when it is empty.

    Raises:
        ValueError: naming who does not take part.
    """
    chosen = [name for name in names.split(",") if name]
    known = {contestant.name for contestant in CONTESTANTS}
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"{', '.join(unknown)}: not among {', '.join(sorted(known))}")
    return tuple(
        contestant for contestant in CONTESTANTS if not chosen or contestant.name in chosen
    )


def new_start_commands(count: int) -> list[StartCommand]:
    """This many new commands, each for a different meeting."""
    return [StartCommand(f"bench-{uuid.uuid4()}", str(uuid.uuid4())) for _ in range(count)]
