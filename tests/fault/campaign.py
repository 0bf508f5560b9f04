"""The campaign: workers under random kills, cut connections and API faults, from one seed."""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.fault.archive_folder import archive_settings, folder_faults
from tests.fault.campaign_commands import PlannedMessage, plan_messages
from tests.fault.campaign_strikes import Strikes
from tests.fault.fault_environment import FaultEnvironment
from tests.fault.reliability_report import ReliabilityReport, RunFigures, report_on

CHECK_INTERVAL_SECONDS: Final = 2.0
STANDSTILL_TIMEOUT_SECONDS: Final = 90.0
"""Longer than any delay that a worker has in a campaign, the leader's lease included."""

Print = Callable[[str], None]

FAULTS: Final = (
    Fault(kind="lost_reset", operation="start*", probability=0.04),
    Fault(kind="lost_half", operation="start*", probability=0.04),
    Fault(kind="lost_502", operation="start*", probability=0.04),
    Fault(kind="lost_odd", operation="start*", probability=0.04),
    Fault(kind="lost_hang", operation="start*", probability=0.02, seconds=1.5),
    Fault(kind="late", operation="start*", probability=0.02, seconds=1.8),
    Fault(kind="lost_reset", operation="change_recording", probability=0.03),
    Fault(kind="lost_502", operation="change_recording", probability=0.03),
    Fault(kind="lost_odd", operation="change_recording", probability=0.02),
    Fault(kind="lost_odd", operation="list_recordings", probability=0.02),
    Fault(kind="lost_odd", operation="get_recording", probability=0.02),
    Fault(kind="refuse", status=429, retry_after=1, probability=0.02),
    Fault(kind="refuse", status=503, envelope="html", probability=0.03),
    Fault(kind="reset", probability=0.02),
    Fault(kind="slow", seconds=0.4, probability=0.05),
    Fault(kind="download_refuse", status=503, probability=0.05),
    Fault(kind="download_expire", probability=0.03),
    Fault(kind="download_change", probability=0.03),
    Fault(kind="download_slow", seconds=0.4, probability=0.05),
    Fault(kind="download_truncate", probability=0.05),
    Fault(kind="download_reset", probability=0.05),
    Fault(kind="webhook_drop", probability=0.1),
    Fault(kind="webhook_duplicate", probability=0.1),
    Fault(kind="webhook_reorder", probability=0.1),
    Fault(kind="webhook_forge", probability=0.1),
)
"""The faults of requests, downloads and webhooks. None makes a recording fail."""


class CampaignOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How large a campaign is. The seed decides its commands, faults and moments."""

    seed: int
    kills: int
    commands: int
    replicas: int = 1


class Campaign:
    """Runs a campaign in an environment; `say` gets progress lines."""

    def __init__(self, environment: FaultEnvironment, options: CampaignOptions, say: Print) -> None:
        self._environment = environment
        self._options = options
        self._print = say
        environment.settings |= archive_settings(environment.directory)
        self._workers = [environment.worker() for _ in range(options.replicas)]
        self._strikes = Strikes(environment, self._workers, Random(f"moments/{options.seed}"))
        self._may_send = asyncio.Semaphore(0)
        self._stops = 0
        self._began = time.monotonic()

    async def run(self) -> tuple[ReliabilityReport, RunFigures]:
        """The report when everything has settled, or when nothing has changed for too long."""
        async with self._environment.webhooks_to(self._workers):
            return await self._run()

    async def _run(self) -> tuple[ReliabilityReport, RunFigures]:
        environment, options = self._environment, self._options
        for worker in self._workers:
            worker.start()
        await eventually(self._subscribed, seconds=60)
        for fault in FAULTS:
            environment.sandbox.faults.add(fault)
        environment.sandbox.behaviour.change({"list_lag_seconds": 0.5})
        async with asyncio.TaskGroup() as together:
            together.create_task(self._send_all(plan_messages(options.seed, options.commands)))
            together.create_task(self._strike_all())
        await self._settle()
        await environment.stop_all()
        kills = sum(worker.kills for worker in self._workers)
        restarts = sum(worker.starts - 1 for worker in self._workers)
        return self._account(), RunFigures(
            kills=kills, restarts=restarts, seed=options.seed, freezes=self._strikes.freezes
        )

    def _account(self) -> ReliabilityReport:
        """The report, including faults in the archive folder."""
        found = report_on(self._environment.facts)
        folder = self._environment.directory / "archive"
        faults = tuple(folder_faults(folder, self._environment.facts))
        return msgspec.structs.replace(found, unexpected=found.unexpected + faults)

    # Sending commands

    async def _send_all(self, planned: list[PlannedMessage]) -> None:
        for message in planned:
            await self._may_send.acquire()
            await self._send(message)

    async def _send(self, message: PlannedMessage) -> None:
        if message.command is None:
            await self._environment.sender.send_bytes(
                message.body, properties=message.properties, **message.about
            )
            return
        command = message.command
        if message.sync_of is not None:
            command = {**command, "recording_id": self._recording_of(message.sync_of)}
        await self._environment.sender.send(command, properties=message.properties, **message.about)

    def _recording_of(self, start_id: str) -> str:
        """The recording of this start, or an id that does not exist if the start has no outcome
        yet."""
        outcome = self._environment.recorder.outcomes.get(start_id)
        data: dict[str, Any] = msgspec.json.decode(outcome.body)["data"] if outcome else {}
        ids = data.get("recording_ids") or ["00000000-0000-4000-8000-000000000000"]
        return str(ids[0])

    # Injecting faults

    async def _strike_all(self) -> None:
        """Inject one fault after another. With each kill, more of the commands may be published."""
        options = self._options
        for number in range(options.kills):
            due = options.commands * (number + 1) // options.kills
            self._allow(due - options.commands * number // options.kills)
            await self._strikes.freeze_sometimes()
            await self._strikes.kill()
            if number % 10 == 9:
                self._report_progress(f"kill {number + 1}/{options.kills}")
        if not options.kills:
            self._allow(options.commands)

    def _allow(self, commands: int) -> None:
        for _ in range(commands):
            self._may_send.release()

    # Until it is over

    async def _settle(self) -> None:
        """Return when nothing is missing, or when nothing has changed for too long."""
        moved, before = time.monotonic(), (-1, -1)
        while time.monotonic() - moved < STANDSTILL_TIMEOUT_SECONDS:
            found = report_on(self._environment.facts)
            if not found.missing:
                return
            if not self._environment.count_without_outcome():
                await self._stop_what_is_live()
            now = (len(found.missing), len(self._environment.recorder.received))
            if now != before:
                moved, before = time.monotonic(), now
            self._report_progress(f"settling, {len(found.missing)} missing")
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)

    async def _stop_what_is_live(self) -> None:
        """Recordings whose stops were not sent before the script ended."""
        for recording_id in list(self._environment.live_recordings()):
            self._stops += 1
            stop = {"type": "stop_recording", "id": f"last/{self._stops}"}
            await self._environment.sender.send({**stop, "recording_id": recording_id})

    def _subscribed(self) -> bool:
        return any(
            request.operation == "add_webhook" and request.status == 201
            for request in self._environment.sandbox.request_log.requests
        )

    def _webhooks_taken(self) -> int:
        return sum(
            delivery.response_status == 204
            for delivery in self._environment.sandbox.request_log.webhooks
        )

    def _report_progress(self, where: str) -> None:
        seconds = time.monotonic() - self._began
        sent, received = (
            len(self._environment.sender.sent),
            len(self._environment.recorder.received),
        )
        share = sent / self._options.commands
        left = f", about {seconds / share - seconds:.0f} s to go" if 0 < share < 1 else ""
        self._print(
            f"{seconds:6.0f} s  {where}: {sent} sent ({sent / seconds:.1f}/s), "
            f"{self._environment.count_without_outcome()} without outcome, {received} received, "
            f"{self._webhooks_taken()} webhooks taken, {self._strikes.links} links broken, "
            f"{self._strikes.freezes} freezes{left}"
        )
