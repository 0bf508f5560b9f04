"""Reads from the worker, the database and the broker at the same time, each for a few seconds."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from worker.broker.admin.one_shot import connect
from worker.broker.admin.queue_counts import QueueCounts, count_queues
from worker.cli.context import topology_from
from worker.cli.database import read_state
from worker.domain.errors import RecordingWorkerError
from worker.observability.probe_client import ProbeFailed, Readiness, fetch_readiness
from worker.settings.settings import CommonSettings
from worker.store.admin.overview import Overview, read_overview

Answer = TypeVar("Answer")

TIMEOUT_SECONDS: Final = 5.0
PROBE_TIMEOUT_SECONDS: Final = 2.0
NO_ANSWER: Final = f"no answer within {TIMEOUT_SECONDS:g} s"
_EVERY_ADDRESS: Final = {"::", "0.0.0.0", ""}  # noqa: S104 - nothing is bound here


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The answers. A text instead of an answer is the reason for its absence."""

    worker_url: str
    readiness: Readiness | str
    overview: Overview | str
    queues: QueueCounts | str


class _Question(Generic[Answer]):
    """A call in a separate thread, which does not keep the process from ending."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._answer: Answer | str = NO_ANSWER
        self._bug: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except (RecordingWorkerError, ProbeFailed) as error:
            self._answer = str(error)
        except Exception as error:  # noqa: BLE001 - raised again by `answer`
            self._bug = error

    def answer(self, deadline: float) -> Answer | str:
        """The answer, if it arrives before `deadline` by the monotonic clock; else the reason."""
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        if self._bug is not None:
            raise self._bug
        return self._answer


def gather_facts(settings: CommonSettings, worker_url: str | None) -> Facts:
    """Read from all three. `worker_url` is a worker's address; None: HTTP_HOST and HTTP_PORT."""
    url = worker_url or local_url(settings)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    readiness = _Question(lambda: fetch_readiness(url, timeout=PROBE_TIMEOUT_SECONDS))
    overview = _Question(lambda: read_state(settings, read_overview))
    queues = _Question(lambda: asyncio.run(_count_queues(settings)))
    return Facts(
        worker_url=url,
        readiness=readiness.answer(deadline),
        overview=overview.answer(deadline),
        queues=queues.answer(deadline),
    )


def local_url(settings: CommonSettings) -> str:
    """Where the worker with these settings answers on this machine."""
    host = settings.http_host
    if host in _EVERY_ADDRESS:
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http_port}"


async def _count_queues(settings: CommonSettings) -> QueueCounts:
    async with connect(settings.amqp_url.reveal(), "status") as connection:
        return await count_queues(connection, topology_from(settings))
