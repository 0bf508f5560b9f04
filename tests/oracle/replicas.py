"""The workers of one history: their settings, and the times at which they did not run normally."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recording_sandbox.services.ports import free_ports
from tests.fault.killable_worker import KillableWorker
from tests.forked_process import FORK_SERVER
from tests.oracle.apps import app_settings
from tests.oracle.evidence import Absence, Limits
from tests.oracle.stand_in import StandIn

QUICK: Final = {
    "WORKER_API_TIMEOUT_SECONDS": "1",
    "WORKER_API_RETRY_SECONDS": "1.5",
    "WORKER_RETRY_DELAYS_SECONDS": "0.3,0.7,1.5",
    "WORKER_RECONCILE_SECONDS": "3",
    "WORKER_LEASE_SECONDS": "4",
    "WORKER_SWEEP_INTERVAL_SECONDS": "0.5",
    "WORKER_AUDIT_INTERVAL_SECONDS": "1.5",
    "WORKER_INVOKED_TIMEOUT_SECONDS": "6",
    "WORKER_UPLOADING_TIMEOUT_SECONDS": "20",
    "WORKER_FILES_WAIT_SECONDS": "6",
    "WORKER_FILES_SETTLE_SECONDS": "0.7",
    "WORKER_FILES_LATE_SECONDS": "3",
    "WORKER_STOP_WAIT_SECONDS": "5",
    "WORKER_SESSION_WAIT_SECONDS": "6",
    "WORKER_COMMAND_MAX_AGE_SECONDS": "15",
    "WORKER_PUBLISH_TIMEOUT_SECONDS": "3",
    "WORKER_SHUTDOWN_SECONDS": "4",
}
"""The contract's waiting times, as short as a history needs them."""


@dataclass(frozen=True)
class Place:
    """Where the workers find their services, and put their logs."""

    amqp_url: str
    database_url: str
    directory: Path
    prefix: str


class Replicas:
    """One to three workers, and when each was away. All methods but `start` block briefly."""

    def __init__(
        self, count: int, place: Place, api: StandIn, settings: Mapping[str, str], limits: Limits
    ) -> None:
        self.absences: list[Absence] = []
        self._away_since: dict[int, float] = {}
        common = {
            **QUICK,
            "AMQP_URL": place.amqp_url,
            "DATABASE_URL": place.database_url,
            "WORKER_NAME_PREFIX": place.prefix,
            **app_settings(api.apps, place.directory),
            "REALTIMEKIT_WEBHOOK_KEY_URL": api.key_url,
            "LOG_FORMAT": "json",
            **settings,
        }
        limits.max_age = float(common["WORKER_COMMAND_MAX_AGE_SECONDS"])
        limits.stop_wait = float(common["WORKER_STOP_WAIT_SECONDS"])
        limits.session_wait = float(common["WORKER_SESSION_WAIT_SECONDS"])
        limits.invoked_timeout = float(common["WORKER_INVOKED_TIMEOUT_SECONDS"])
        limits.reconcile = float(common["WORKER_RECONCILE_SECONDS"])
        limits.budget = _budget(common["WORKER_API_BUDGET"])
        limits.follows_all = common.get("WORKER_FOLLOW_ALL") == "on"
        limits.exchange_prefix = place.prefix
        self.workers = [
            KillableWorker(
                {**common, "REALTIMEKIT_BASE_URL": api.base_url(number)},
                place.directory / f"worker-{number}.log",
                forks=FORK_SERVER,
            )
            for number in range(count)
        ]
        api.webhooks.ports.update({n: worker.port for n, worker in enumerate(self.workers)})

    async def start(self) -> None:
        """Start all, and return when they are ready."""
        for worker in self.workers:
            worker.start()
        for worker in self.workers:
            await worker.ready()

    def leave(self, number: int) -> None:
        """Note that a replica is disturbed from now on."""
        self._away_since.setdefault(number, time.time())

    def come_back(self, number: int) -> None:
        """Note that it runs normally again."""
        if number in self._away_since:
            self.absences.append(Absence(number, self._away_since.pop(number), time.time()))

    def kill(self) -> None:
        """End all."""
        for number, worker in enumerate(self.workers):
            self.leave(number)
            worker.kill()
            self.come_back(number)


def draw_settings(dice: random.Random) -> dict[str, str]:
    """Settings that differ from history to history."""
    return {
        "WORKER_API_BUDGET": dice.choice(("1200/300,1000/50", "90/3", "40/2,300/30")),
        "WORKER_FOLLOW_ALL": dice.choice(("off", "off", "on")),
        "WORKER_PREFETCH": dice.choice(("3", "500")),
    }


def free_prefix() -> str:
    """A prefix of exchanges and queues that no other history uses."""
    return f"oracle-{free_ports(1)[0]}-{time.time_ns() % 10**6}"


def _budget(text: str) -> tuple[tuple[int, float], ...]:
    pairs = (pair.split("/") for pair in text.split(","))
    return tuple((int(count), float(seconds)) for count, seconds in pairs)
