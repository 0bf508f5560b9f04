"""Kills a worker at every point of a piece of work, one process after the other on one state.

A dry run lists the points. For each point, a worker that counts points starts on the state of the
previous process, gets the work, and dies at the point. Then a plain worker finishes everything, and
the report checks the result.
"""

import asyncio
import contextlib
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Final

import msgspec

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.recording import StartRequest
from recording_sandbox.waiting import eventually
from tests.fault.archive_folder import archive_settings
from tests.fault.fault_environment import FaultEnvironment
from tests.fault.killable_worker import KILL_POINT_MODULE, KillableWorker
from tests.fault.run_record import REJECTED, SUCCEEDED
from tests.fault.suspension_points import KillPoint, PointsReport, read_reports

ROUND_TIMEOUT_SECONDS: Final = 60.0
WEBHOOK_REGISTERED: Final = "request.add_webhook.201"
KILLS_BETWEEN_RESTS: Final = 3
"""After five crashes in a row during its execution, a command is given up on purpose."""


class Scenario(ABC):
    """A piece of work of the worker, repeated once for each point."""

    def __init__(self, environment: FaultEnvironment) -> None:
        self.environment = environment

    async def prepare(  # noqa: B027 - most need nothing
        self, worker: KillableWorker, rounds: range
    ) -> None:
        """Prepare these rounds with a worker that is not killed."""

    async def before(self, number: int) -> None:  # noqa: B027 - most need nothing
        """Prepare this round while no worker runs."""

    async def finish(self) -> None:  # noqa: B027 - most need nothing
        """Wait for work that a plain worker does without a command after the last round."""

    loop = ""
    """Part of the names of points that the work reaches repeatedly. The worker is killed there
    at the first, a middle and the last time, and at other points only the first time."""

    @abstractmethod
    def work_name(self, number: int) -> str:
        """The name of the work in this round, as `Steps` knows it."""

    @abstractmethod
    async def trigger(self, number: int) -> None:
        """Ask for the work of this round; a worker is running or starting."""

    @abstractmethod
    def is_over(self, number: int) -> bool:
        """Whether all events of this round are published."""

    def faults(self) -> list[str]:
        """At the end: the commands with a wrong outcome that the report does not judge."""
        return []


class StartScenario(Scenario):
    """A track recording is started."""

    name = "start"

    def __init__(self, environment: FaultEnvironment) -> None:
        super().__init__(environment)
        self.meetings: dict[int, str] = {}

    def work_name(self, number: int) -> str:
        return f"command/{self.name}-{number}"

    async def trigger(self, number: int) -> None:
        await self.start(f"{self.name}-{number}", self.meeting(number))

    def is_over(self, number: int) -> bool:
        return f"{self.name}-{number}" in self.environment.recorder.outcomes

    def meeting(self, number: int) -> str:
        return self.meetings.setdefault(number, str(uuid.uuid4()))

    async def start(self, command_id: str, meeting: str) -> None:
        command = {"type": "start_track_recording", "id": command_id, "meeting_id": meeting}
        await self.environment.sender.send(command, allowed=SUCCEEDED)


class NamedPeopleScenario(StartScenario):
    """A start by custom ids: they are looked up, kept with the command, and sent to the API."""

    name = "named"

    async def start(self, command_id: str, meeting: str) -> None:
        command = {
            "type": "start_track_recording",
            "id": command_id,
            "meeting_id": meeting,
            "custom_participant_ids": ["participant-1"],
        }
        await self.environment.sender.send(command, allowed=SUCCEEDED)


class LostStartScenario(StartScenario):
    """A start whose first answer is lost: it is retried, and its recording is found and adopted."""

    name = "lost"

    async def before(self, number: int) -> None:
        lost = Fault(kind="lost_reset", meeting_id=self.meeting(number), count=1)
        self.environment.sandbox.faults.add(lost)


class StopScenario(StartScenario):
    """A recording is stopped by the id of its start."""

    name = "stop"

    async def trigger(self, number: int) -> None:
        start = f"{self.name}-{number}/start"
        await self.start(start, self.meeting(number))
        await self.environment.recorder.outcome_of(start, seconds=ROUND_TIMEOUT_SECONDS)
        stop = {"type": "stop_recording", "id": f"{self.name}-{number}", "start_id": start}
        await self.environment.sender.send(stop, allowed=SUCCEEDED)


class NonsenseScenario(StartScenario):
    """A message that is not a command goes to the dead-letter queue, and gets an outcome."""

    name = "nonsense"

    async def trigger(self, number: int) -> None:
        await self.environment.sender.send(
            {"type": "stop_recording", "id": f"{self.name}-{number}", "stort_id": "misspelt"},
            is_command=False,
            allowed=REJECTED,
        )


class RelayScenario(StartScenario):
    """Status and outcome of a start are published."""

    name = "relayed"

    def work_name(self, number: int) -> str:
        return "relay"


class ParkScenario(StartScenario):
    """A start waits for its session, which begins as soon as the worker has asked for it."""

    name = "parked"

    def __init__(self, environment: FaultEnvironment) -> None:
        super().__init__(environment)
        self.begins: list[asyncio.Task[None]] = []

    async def before(self, number: int) -> None:
        meetings = self.environment.sandbox.meetings
        meetings.create(self.meeting(number), participants=1, live=False)

    async def trigger(self, number: int) -> None:
        meeting = self.meeting(number)
        command = {"id": f"{self.name}-{number}", "meeting_id": meeting, "wait_for_session": True}
        await self.environment.sender.send(
            {"type": "start_track_recording", **command}, allowed=SUCCEEDED
        )
        self.begins.append(asyncio.create_task(self._begin(meeting)))

    async def _begin(self, meeting: str) -> None:
        sandbox = self.environment.sandbox
        await eventually(
            lambda: any(
                request.operation == "active_session" and request.meeting_id == meeting
                for request in sandbox.request_log.requests
            ),
            seconds=ROUND_TIMEOUT_SECONDS,
        )
        sandbox.meetings.join(meeting, next(iter(sandbox.meetings.get(meeting).participants)))


class UnparkScenario(ParkScenario):
    """Parked commands that are due are published to the queue."""

    name = "unparked"

    def work_name(self, number: int) -> str:
        return "parked"


class SweepScenario(StartScenario):
    """A recording that ended without a webhook is missing from the list."""

    name = "swept"

    async def prepare(self, worker: KillableWorker, rounds: range) -> None:
        worker.start()
        for number in rounds:
            await self.start(f"{self.name}-{number}", self.meeting(number))
        for number in rounds:
            await self.environment.recorder.outcome_of(
                f"{self.name}-{number}", seconds=ROUND_TIMEOUT_SECONDS
            )
        await asyncio.to_thread(worker.stop)

    def work_name(self, number: int) -> str:
        return "sweep"

    async def before(self, number: int) -> None:
        recordings, request_log = (
            self.environment.sandbox.recordings,
            self.environment.sandbox.request_log,
        )
        recording_id = self.recording(number)
        recording = recordings.index.find(recording_id)
        assert recording is not None
        await eventually(lambda: recording.status == "RECORDING")
        recordings.stop(recording)
        await request_log.until(lambda _: recording.status == "UPLOADED")

    async def trigger(self, number: int) -> None:
        """Nothing to do: the sweep runs by schedule."""

    def is_over(self, number: int) -> bool:
        about = self.environment.recorder.about(self.recording(number))
        return any(event.routing_key.endswith(".completed") for event in about)

    def recording(self, number: int) -> str:
        return self.named_by(f"{self.name}-{number}")[0]

    def named_by(self, command_id: str) -> list[str]:
        """The recordings that the outcome of this command names."""
        outcome = self.environment.recorder.outcomes[command_id]
        data: dict[str, Any] = msgspec.json.decode(outcome.body)["data"]
        return list(data["recording_ids"])


class StopMeetingScenario(SweepScenario):
    """Recordings of a meeting are stopped: one of ours and one of another program.

    Before the next attempt, those that were stopped have ended.
    """

    name = "meeting"

    def work_name(self, number: int) -> str:
        return f"command/{self._stop(number)}"

    async def before(self, number: int) -> None:
        recordings = self.environment.sandbox.recordings
        meeting = self.meeting(number)
        external = StartRequest(kind="composite", app_id="app", meeting_id=meeting)
        self.environment.foreign.add(recordings.start(external).id)
        await eventually(
            lambda: (
                {recording.status for recording in recordings.index.all()}
                <= {"RECORDING", "UPLOADED"}
            )
        )

    async def trigger(self, number: int) -> None:
        stop = {"type": "stop_recording", "id": self._stop(number)}
        await self.environment.sender.send(
            {**stop, "meeting_id": self.meeting(number)}, allowed=SUCCEEDED
        )

    def is_over(self, number: int) -> bool:
        return self._stop(number) in self.environment.recorder.outcomes

    def faults(self) -> list[str]:
        index = self.environment.sandbox.recordings.index
        return [
            self._stop(number)
            for number, meeting in self.meetings.items()
            if set(self.named_by(self._stop(number)))
            != {recording.id for recording in index.of_meeting(meeting)}
        ]

    def _stop(self, number: int) -> str:
        return f"{self.name}-{number}/stop"


class RefreshScenario(SweepScenario):
    """A recording that was missed is read, and its files with it."""

    name = "read"

    def work_name(self, number: int) -> str:
        return "read"


class LimitScenario(SweepScenario):
    """The longest duration of a recording has passed, and the worker stops it."""

    name = "limited"

    def __init__(self, environment: FaultEnvironment) -> None:
        super().__init__(environment)
        self._due: set[str] = set()

    async def prepare(self, worker: KillableWorker, rounds: range) -> None:
        await super().prepare(worker, rounds)
        worker.start()
        await eventually(
            lambda: all(self._has_limit(self.recording(number)) for number in rounds),
            seconds=ROUND_TIMEOUT_SECONDS,
        )
        await asyncio.to_thread(worker.stop)

    async def start(self, command_id: str, meeting: str) -> None:
        command = {"type": "start_track_recording", "id": command_id, "meeting_id": meeting}
        await self.environment.sender.send({**command, "max_seconds": 3600}, allowed=SUCCEEDED)

    def work_name(self, number: int) -> str:
        return "limit"

    async def before(self, number: int) -> None:
        recording_id = self.recording(number)
        self._due.add(recording_id)
        self._database("UPDATE recordings SET stop_at = 1 WHERE recording_id = ?", recording_id)

    async def finish(self) -> None:
        await eventually(
            lambda: not self._due.intersection(self.environment.live_recordings()),
            seconds=ROUND_TIMEOUT_SECONDS,
            description="each recording whose time has come is stopped",
        )

    def _has_limit(self, recording_id: str) -> bool:
        found = "SELECT count(*) FROM recordings WHERE recording_id = ? AND stop_at > 1"
        return bool(self._database(found, recording_id))

    def _database(self, statement: str, *values: str) -> Any:
        path = self.environment.settings["DATABASE_URL"].removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            return (database.execute(statement, values).fetchone() or (None,))[0]


class WebhookScenario(SweepScenario):
    """A webhook reports the end of a recording; sweeps are too rare to find it."""

    name = "webhook"

    async def prepare(self, worker: KillableWorker, rounds: range) -> None:
        worker.settings["WORKER_PUBLIC_URL"] = f"http://127.0.0.1:{worker.port}"
        worker.settings["WORKER_SWEEP_INTERVAL_SECONDS"] = "3600"
        worker.start()
        await self.environment.sandbox.request_log.until(
            lambda request_log: request_log.counts[WEBHOOK_REGISTERED] > 0
        )
        await asyncio.to_thread(worker.stop)
        await super().prepare(worker, rounds)

    def work_name(self, number: int) -> str:
        return "webhook"

    async def before(self, number: int) -> None:
        """The recording continues until a worker can receive the webhook."""

    async def trigger(self, number: int) -> None:
        await super().before(number)

    def is_over(self, number: int) -> bool:
        sent = self.environment.sandbox.request_log.webhooks
        reported = {
            delivery.recording_id
            for delivery in sent
            if delivery.status == "UPLOADED" and delivery.response_status == 204
        }
        return super().is_over(number) and self.recording(number) in reported


class ArchiveScenario(SweepScenario):
    """The one file of a recording is copied to the archive in three parts."""

    name = "archived"
    loop = "ChunkPipe.fill"

    def __init__(self, environment: FaultEnvironment) -> None:
        super().__init__(environment)
        environment.sandbox.behaviour.file_bytes = 11_000_000
        environment.settings |= archive_settings(environment.directory)

    async def start(self, command_id: str, meeting: str) -> None:
        self.environment.sandbox.meetings.create(meeting, participants=1)
        await super().start(command_id, meeting)

    def work_name(self, number: int) -> str:
        return "archive"

    def is_over(self, number: int) -> bool:
        about = self.environment.recorder.about(self.recording(number))
        return any(event.routing_key == "track.archived" for event in about)


class ManifestScenario(ArchiveScenario):
    """The manifest of a recording is written and announced."""

    name = "manifest"

    def work_name(self, number: int) -> str:
        return "manifest"


async def kill_at_points(work: Scenario, *, every_point: bool) -> list[str]:
    """Kill the worker at each point; returns the points where it died.

    Without `every_point`, consecutive repeats of a point are left out. At the end a plain worker is
    running, and every recording is stopped.
    """
    environment = work.environment
    worker = environment.worker()
    await work.prepare(worker, range(1))
    dry = await _round(work, worker, 0, KillPoint(work_name=work.work_name(0)))
    # Take points from every round: only the first round connects, and the searched point may be in
    # a later one.
    sampled = work.loop and not every_point
    points = dict.fromkeys(
        point
        for report in dry
        for point in (
            _sampled(report, work.loop) if sampled else _points_of(report, every_point=every_point)
        )
    )
    await work.prepare(worker, range(1, len(points) + 1))
    killed = []
    for number, (point, occurrence) in enumerate(points, 1):
        at = KillPoint(work_name=work.work_name(number), point=point, occurrence=occurrence)
        if (await _round(work, worker, number, at))[-1].killed:
            killed.append(point)
    worker.start()
    await work.finish()
    await stop_everything(environment)
    return killed


def _points_of(dry: PointsReport, *, every_point: bool) -> list[tuple[str, int]]:
    """Each point with its occurrence (1 for the first with that name).

    Without `every_point`, consecutive sleeps at the same place are left out, such as further reads
    of a socket.
    """
    counts: Counter[str] = Counter()
    last: dict[str, str] = {}
    chosen = []
    for point in dry.points:
        counts[point] += 1
        phase = point.rpartition(" ")[2]
        if every_point or last.get(phase) != point:
            chosen.append((point, counts[point]))
        last[phase] = point
    return chosen


def _sampled(dry: PointsReport, loop: str) -> list[tuple[str, int]]:
    """Points with their occurrences. Points asleep in the loop are reduced to three."""
    counts = Counter(point for point in dry.points if "_connect" not in point)
    return [
        (point, occurrence)
        for point, count in counts.items()
        for occurrence in sorted(
            {1, (count + 1) // 2, count} if loop in point and "(asleep)" in point else {1}
        )
    ]


async def stop_everything(environment: FaultEnvironment) -> None:
    """Wait until every start has an outcome, then stop the recordings that still run."""
    await eventually(
        lambda: _is_answered(environment),
        seconds=ROUND_TIMEOUT_SECONDS,
        description="all are answered",
    )
    for number, recording_id in enumerate(list(environment.live_recordings())):
        stop = {"type": "stop_recording", "id": f"last-{number}", "recording_id": recording_id}
        await environment.sender.send(stop, allowed=SUCCEEDED)


def _is_answered(environment: FaultEnvironment) -> bool:
    """Whether every command that was sent has its outcome."""
    return all(
        message.command_id in environment.recorder.outcomes for message in environment.sender.sent
    )


async def _round(
    work: Scenario, worker: KillableWorker, number: int, at: KillPoint
) -> list[PointsReport]:
    """The reports until the work is over or the process is killed."""
    path = work.environment.directory / f"reports-{number}.jsonl"
    await work.before(number)
    kill_at = msgspec.json.encode(at).decode()
    worker.start(KILL_POINT_MODULE, FAULT_KILL_AT=kill_at, FAULT_REPORTS=str(path))
    if number % KILLS_BETWEEN_RESTS == 0:  # the first relay may do earlier work
        await eventually(
            lambda: not worker.running or _is_answered(work.environment),
            seconds=ROUND_TIMEOUT_SECONDS,
        )
    await work.trigger(number)
    # Its events may be published before the work ends, and it is reported at its end.
    await eventually(
        lambda: not worker.running or (work.is_over(number) and read_reports(path, at.work_name)),
        seconds=ROUND_TIMEOUT_SECONDS,
        description=f"{at.work_name} is over, or killed at {at.point}",
    )
    if worker.running:
        await asyncio.to_thread(worker.stop)
    reports = read_reports(path, at.work_name)
    assert reports, worker.last_words()
    if reports[-1].killed:
        worker.died()
    return reports
