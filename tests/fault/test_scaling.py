"""Replicas start and stop under load; FAULT_SCALINGS=50 is the long form."""

import asyncio
import itertools
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.reliability_report import RunFigures, report_lines
from tests.fault.run_record import SUCCEEDED

SCALINGS: Final = int(os.environ.get("FAULT_SCALINGS", "6"))
BACKLOG: Final = 60
"""The most commands that may wait for their outcomes, so that there is load at every change."""
PASSING: Final = 12
"""The confirmed commands and the published outcomes between two changes."""

EITHER: Final = frozenset({"succeeded", "rejected"})
"""The outcomes of a pause or resume. Another replica may execute the stop before it."""


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, postgresql: PostgreSQLServer, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    database = postgresql.new_database()
    async with open_fault_environment(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        yield environment
    postgresql.drop_database(database)


class Fleet:
    """The running replicas, oldest first. The first one leads at the beginning."""

    def __init__(self, environment: FaultEnvironment) -> None:
        self._environment = environment
        self.running: list[KillableWorker] = []

    async def add(self) -> None:
        """Start one more replica."""
        worker = self._environment.worker()
        worker.start()
        await worker.ready()
        self.running.append(worker)

    async def end_oldest(self) -> None:
        """Send SIGTERM to the oldest replica. It stops cleanly, with or without load."""
        worker = self.running.pop(0)
        await asyncio.to_thread(worker.stop)
        assert worker.exit_code == 0, worker.last_words()

    async def kill_oldest(self) -> None:
        """Kill the oldest replica in the middle of its work."""
        await asyncio.to_thread(self.running.pop(0).kill)

    def changes(self) -> Iterator[Callable[[], Any]]:
        """Start one more replica, then alternately one more and one less: two or three run."""
        yield self.add
        yield from itertools.cycle([self.add, self.end_oldest, self.add, self.kill_oldest])


@pytest.mark.slow
@pytest.mark.timeout(90 + 30 * SCALINGS)
async def test_scaling_replicas_under_load_loses_duplicates_and_reorders_nothing(
    environment: FaultEnvironment,
) -> None:
    fleet = Fleet(environment)
    await fleet.add()
    scaling = asyncio.create_task(scale(fleet, environment))
    for number in itertools.count():
        if scaling.done():
            break
        await eventually(
            lambda: environment.count_without_outcome() < BACKLOG,
            seconds=60,
            description="the workers follow",
        )
        for command in a_meeting(number):
            allowed = SUCCEEDED if command["id"].startswith("stop") else EITHER
            await environment.sender.send(command, allowed=allowed)
    await scaling
    found = await environment.settled(seconds=60)
    kills = sum(worker.kills for worker in environment.workers)
    run = RunFigures(kills=kills, restarts=len(environment.workers) - 1, seed=1)
    figures = report_lines(found, run)
    print(figures)
    assert found.violations == (), figures
    assert found.recordings + environment.recorder.cancelled == number


async def scale(fleet: Fleet, environment: FaultEnvironment) -> None:
    """Change the fleet repeatedly, each time after commands got outcomes since the last change."""
    for number, change in enumerate(itertools.islice(fleet.changes(), SCALINGS)):
        await goes_on(environment, after=number)
        await change()
    await goes_on(environment, after=SCALINGS)


async def goes_on(environment: FaultEnvironment, *, after: int) -> None:
    """Return when `PASSING` more commands are confirmed and as many more have outcomes."""
    sent, outcomes = len(environment.sender.sent), len(environment.recorder.outcomes)

    def got_by() -> bool:
        more = len(environment.sender.sent) - sent, len(environment.recorder.outcomes) - outcomes
        return min(more) >= PASSING

    await eventually(got_by, seconds=60, description=f"the load goes on after change {after}")


def a_meeting(number: int) -> Iterator[dict[str, Any]]:
    """Start, pause, resume and stop one recording; all four are in the queue at once."""
    meeting = str(uuid.UUID(int=number + 1, version=4))
    yield {"type": "start_track_recording", "id": f"start-{number}", "meeting_id": meeting}
    for kind in ("pause", "resume", "stop"):
        start_id = f"start-{number}"
        yield {"type": f"{kind}_recording", "id": f"{kind}-{number}", "start_id": start_id}
