"""Killing a worker at every point of a piece of work, one process after the other on one state.

A dry run tells which points there are. Then, for each point, a stepping worker is started on what
the last one left behind, gets the work to do, and dies there. What became of it all is for the
account to say, after a plain worker has finished everything.
"""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Final

import msgspec

from sandbox.model.faults import Fault
from sandbox.waiting import eventually
from tests.fault.facts import REJECTED, SUCCEEDED
from tests.fault.field import Field
from tests.fault.processes import STEPPING, WorkerProcess
from tests.fault.stepping import KillAt, Report, read_reports

DEADLINE: Final = 60.0
REGISTERED: Final = "request.add_webhook.201"
KILLS_BETWEEN_RESTS: Final = 3
"""A command that was in hand at five crashes in a row is given up, on purpose."""


class Work(ABC):
    """Something that a worker does, as often as there are points to kill it at."""

    def __init__(self, field: Field) -> None:
        self.field = field

    async def prepare(self, worker: WorkerProcess) -> None:  # noqa: B027 - most need nothing
        """Bring about what the work needs, with a worker that is not killed. Once."""

    async def before(self, number: int) -> None:  # noqa: B027 - most need nothing
        """Bring about what this round needs, while no worker runs."""

    @abstractmethod
    def which(self, number: int) -> str:
        """The name of the work in this round, as `Steps` knows it."""

    @abstractmethod
    async def ask(self, number: int) -> None:
        """Have it done in this round; a worker is running or starting."""

    @abstractmethod
    def is_over(self, number: int) -> bool:
        """Whether subscribers have been told everything about this round."""


class Start(Work):
    """A track recording is started."""

    name = "start"

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self.meetings: dict[int, str] = {}

    def which(self, number: int) -> str:
        return f"command/{self.name}-{number}"

    async def ask(self, number: int) -> None:
        await self.start(f"{self.name}-{number}", self.meeting(number))

    def is_over(self, number: int) -> bool:
        return f"{self.name}-{number}" in self.field.recorder.outcomes

    def meeting(self, number: int) -> str:
        return self.meetings.setdefault(number, str(uuid.uuid4()))

    async def start(self, command_id: str, meeting: str) -> None:
        command = {"type": "start_track_recording", "id": command_id, "meeting_id": meeting}
        await self.field.sender.send(command, allowed=SUCCEEDED)


class LostStart(Start):
    """A start whose first answer is lost: retried, looked for and adopted."""

    name = "lost"

    async def before(self, number: int) -> None:
        lost = Fault(kind="lost_reset", meeting_id=self.meeting(number), count=1)
        self.field.sandbox.faults.add(lost)


class Stop(Start):
    """A recording is stopped by the id of its start."""

    name = "stop"

    async def ask(self, number: int) -> None:
        start = f"{self.name}-{number}/start"
        await self.start(start, self.meeting(number))
        await self.field.recorder.outcome_of(start, seconds=DEADLINE)
        stop = {"type": "stop_recording", "id": f"{self.name}-{number}", "start_id": start}
        await self.field.sender.send(stop, allowed=SUCCEEDED)


class Nonsense(Start):
    """What is not a command goes to the dead letters, and is answered."""

    name = "nonsense"

    async def ask(self, number: int) -> None:
        await self.field.sender.send(
            {"type": "stop_recording", "id": f"{self.name}-{number}", "stort_id": "misspelt"},
            is_command=False,
            allowed=REJECTED,
        )


class Relaying(Start):
    """Status and outcome of a start are published."""

    name = "relayed"

    def which(self, number: int) -> str:
        return "relay"


class Sweeping(Start):
    """A recording that has ended unseen is missed on the list."""

    name = "swept"
    rounds = 90

    async def prepare(self, worker: WorkerProcess) -> None:
        worker.start()
        for number in range(self.rounds):
            await self.start(f"{self.name}-{number}", self.meeting(number))
        for number in range(self.rounds):
            await self.field.recorder.outcome_of(f"{self.name}-{number}", seconds=DEADLINE)
        await asyncio.to_thread(worker.stop)

    def which(self, number: int) -> str:
        return "sweep"

    async def before(self, number: int) -> None:
        recordings, ledger = self.field.sandbox.recordings, self.field.sandbox.request_log
        recording_id = self.recording(number)
        recording = recordings.index.find(recording_id)
        assert recording is not None
        await eventually(lambda: recording.status == "RECORDING")
        recordings.stop(recording)
        await ledger.until(lambda _: recording.status == "UPLOADED")

    async def ask(self, number: int) -> None:
        """Nobody need ask."""

    def is_over(self, number: int) -> bool:
        about = self.field.recorder.about(self.recording(number))
        return any(one.routing_key.endswith(".completed") for one in about)

    def recording(self, number: int) -> str:
        outcome = self.field.recorder.outcomes[f"{self.name}-{number}"]
        data: dict[str, Any] = msgspec.json.decode(outcome.body)["data"]
        return str(data["recording_ids"][0])


class Reading(Sweeping):
    """A recording that was missed is read, and its files with it."""

    name = "read"

    def which(self, number: int) -> str:
        return "read"


class Hearing(Sweeping):
    """A webhook tells that a recording has ended; nobody else does, for sweeps are rare."""

    name = "heard"
    rounds = 25

    async def prepare(self, worker: WorkerProcess) -> None:
        worker.settings["WORKER_PUBLIC_URL"] = f"http://127.0.0.1:{worker.port}"
        worker.settings["WORKER_SWEEP_INTERVAL_SECONDS"] = "3600"
        worker.start()
        await self.field.sandbox.request_log.until(lambda ledger: ledger.counts[REGISTERED] > 0)
        await asyncio.to_thread(worker.stop)
        await super().prepare(worker)

    def which(self, number: int) -> str:
        return "webhook"

    async def before(self, number: int) -> None:
        """The recording goes on until there is somebody to hear of its end."""

    async def ask(self, number: int) -> None:
        await super().before(number)

    def is_over(self, number: int) -> bool:
        sent = self.field.sandbox.request_log.webhooks
        told = {
            one.recording_id
            for one in sent
            if one.status == "UPLOADED" and one.response_status == 204
        }
        return super().is_over(number) and self.recording(number) in told


async def kill_at_points(work: Work, *, every: bool) -> list[str]:
    """The points at which it was killed: `every` one, or those where it is not just where it was.

    At the end a plain worker is running, and every recording is told to stop.
    """
    field = work.field
    worker = field.worker()
    await work.prepare(worker)
    dry = await _round(work, worker, 0, KillAt(which=work.which(0)))
    # Of every turn: the first one connects, and only a later one may come to what is looked for.
    points = dict.fromkeys(point for one in dry for point in _points_of(one, every=every))
    killed = []
    for number, (point, occurrence) in enumerate(points, 1):
        at = KillAt(which=work.which(number), point=point, occurrence=occurrence)
        if (await _round(work, worker, number, at))[-1].killed:
            killed.append(point)
    worker.start()
    await stop_everything(field)
    return killed


def _points_of(dry: Report, *, every: bool) -> list[tuple[str, int]]:
    """Each point with the how-manieth of its name it is.

    Without `every`, sleeps where the last sleep was are left out, such as one more read of a
    socket.
    """
    seen: Counter[str] = Counter()
    last: dict[str, str] = {}
    chosen = []
    for point in dry.points:
        seen[point] += 1
        phase = point.rpartition(" ")[2]
        if every or last.get(phase) != point:
            chosen.append((point, seen[point]))
        last[phase] = point
    return chosen


async def stop_everything(field: Field) -> None:
    """Every start that was sent gets an outcome, and then what still records is stopped."""
    await eventually(lambda: _is_answered(field), seconds=DEADLINE, what="all are answered")
    for number, recording_id in enumerate(list(field.live_recordings())):
        stop = {"type": "stop_recording", "id": f"last-{number}", "recording_id": recording_id}
        await field.sender.send(stop, allowed=SUCCEEDED)


def _is_answered(field: Field) -> bool:
    """Whether every command that was sent has its outcome."""
    return all(one.command_id in field.recorder.outcomes for one in field.sender.sent)


async def _round(work: Work, worker: WorkerProcess, number: int, at: KillAt) -> list[Report]:
    """What is reported until the work is over, or the process killed."""
    path = work.field.directory / f"reports-{number}.jsonl"
    await work.before(number)
    kill_at = msgspec.json.encode(at).decode()
    worker.start(STEPPING, FAULT_KILL_AT=kill_at, FAULT_REPORTS=str(path))
    if number % KILLS_BETWEEN_RESTS == 0:  # what is relayed or swept first may be from before
        await eventually(lambda: not worker.running or _is_answered(work.field), seconds=DEADLINE)
    await work.ask(number)
    await eventually(
        lambda: not worker.running or work.is_over(number),
        seconds=DEADLINE,
        what=f"{at.which} is over, or killed at {at.point}",
    )
    if worker.running:
        await asyncio.to_thread(worker.stop)
    reports = read_reports(path, at.which)
    assert reports, worker.last_words()
    if reports[-1].killed:
        worker.died()
    return reports
