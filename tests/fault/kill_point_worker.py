"""A worker that kills itself at one enumerated point: `FAULT_KILL_AT`, a `KillPoint` as JSON.

It is the worker itself, built of parts whose coroutines are driven step by step. It writes the
points that it passed to the file `FAULT_REPORTS`.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

import worker.archive.assembly
import worker.archive.storage.storage
import worker.bootstrap
import worker.commands.operations.control
import worker.tracking.trackers
from tests.fault.suspension_points import KillPoint, PointTracker
from worker.__main__ import main
from worker.archive.file_copies import FileCopies
from worker.archive.manifest_writer import ManifestWriter
from worker.archive.storage.chunk_pipe import ChunkPipe
from worker.broker.acknowledger import Acknowledger
from worker.broker.consumer import Consumer
from worker.broker.messages import Delivery
from worker.publishing.parked_relay import ParkedRelay
from worker.publishing.relay import OutboxRelay
from worker.store.archive_manifests import ManifestTask
from worker.store.archive_queue import FileTask
from worker.tracking.duration_limiter import DurationLimiter
from worker.tracking.live_list import ListResult
from worker.tracking.refresher import Refresher
from worker.tracking.sweep import Sweep
from worker.tracking.webhook_endpoint import WebhookAnswer, WebhookEndpoint


def install(steps: PointTracker) -> None:
    """Build the worker of parts that are driven step by step."""
    _install_archive(steps)
    _install_stops(steps)

    class SteppingConsumer(Consumer):
        async def _handle(self, acknowledger: Acknowledger, tag: int, delivery: Delivery) -> None:
            await steps.run_whole(
                _work_name(delivery), super()._handle(acknowledger, tag, delivery)
            )

    class SteppingSweep(Sweep):
        async def sweep(self, *args: Any) -> ListResult:
            steps.restart_count("sweep")
            return await steps.run_whole("sweep", super().sweep(*args))

    class SteppingReader(Refresher):
        async def read_due(self, *args: Any) -> None:
            steps.restart_count("read")
            await steps.run_whole("read", super().read_due(*args))

        async def _refresh(self, *known: Any, **begins: Any) -> None:
            await steps.run_part("read", super()._refresh(*known, **begins))

    one_at_a_time = asyncio.Lock()

    class SteppingWebhooks(WebhookEndpoint):
        async def _handle(self, request: web.Request) -> WebhookAnswer:
            async with one_at_a_time:  # because they are counted under one name
                steps.restart_count("webhook")
                return await steps.run_whole("webhook", super()._handle(request))

    vars(worker.bootstrap).update(
        Consumer=SteppingConsumer,
        OutboxRelay=_stepping_relay(steps),
        ParkedRelay=_stepping_parked_relay(steps),
        WebhookEndpoint=SteppingWebhooks,
    )
    vars(worker.tracking.trackers).update(
        DurationLimiter=_stepping_limiter(steps), Sweep=SteppingSweep, Refresher=SteppingReader
    )


def _install_archive(steps: PointTracker) -> None:
    class SteppingFileCopies(FileCopies):
        async def attempt(self, task: FileTask) -> bool:
            steps.restart_count("archive")
            return await steps.run_whole("archive", super().attempt(task))

    class SteppingManifestWriter(ManifestWriter):
        async def attempt(self, task: ManifestTask) -> bool:
            steps.restart_count("manifest")
            return await steps.run_whole("manifest", super().attempt(task))

    class SteppingChunkPipe(ChunkPipe):
        async def fill(self, chunks: AsyncIterator[bytes | memoryview]) -> None:
            await steps.run_part("archive", super().fill(chunks))

    vars(worker.archive.storage.storage).update(ChunkPipe=SteppingChunkPipe)
    vars(worker.archive.assembly).update(
        FileCopies=SteppingFileCopies, ManifestWriter=SteppingManifestWriter
    )


def _install_stops(steps: PointTracker) -> None:
    """Stop the recordings of a meeting one after the other, each in its own task."""
    control = worker.commands.operations.control
    act_on = control._act_on

    async def act_in_steps(target: Any, command: Any, *rest: Any) -> None:
        acts = act_on(target, command, *rest)
        if command.meeting_id is None:  # in the task of the command
            await acts
        else:
            await steps.run_part(f"command/{command.id}", acts)

    vars(control).update(_act_on=act_in_steps, MAX_CONCURRENT=1)


def _stepping_relay(steps: PointTracker) -> type[OutboxRelay]:
    class SteppingRelay(OutboxRelay):
        async def publish_pending(self, **until: float) -> bool:
            if self._replies:
                return await super().publish_pending(**until)
            if not self._marks:  # else they belong to the page that was published before
                steps.restart_count("relay")
            return await steps.run_whole("relay", super().publish_pending(**until))

    return SteppingRelay


def _stepping_parked_relay(steps: PointTracker) -> type[ParkedRelay]:
    class SteppingParkedRelay(ParkedRelay):
        async def publish_due(self) -> bool:
            steps.restart_count("parked")
            return await steps.run_whole("parked", super().publish_due())

    return SteppingParkedRelay


def _stepping_limiter(steps: PointTracker) -> type[DurationLimiter]:
    class SteppingLimiter(DurationLimiter):
        async def stop_due(self, *args: Any) -> None:
            steps.restart_count("limit")
            await steps.run_whole("limit", super().stop_due(*args))

        async def _stop(self, *due: Any) -> None:
            await steps.run_part("limit", super()._stop(*due))

    return SteppingLimiter


def _work_name(delivery: Delivery) -> str:
    try:
        return f"command/{msgspec.json.decode(delivery.body)['id']}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"command/{delivery.message_id}"


if __name__ == "__main__":
    kill_at = msgspec.json.decode(os.environ["FAULT_KILL_AT"], type=KillPoint)
    install(PointTracker(kill_at, Path(os.environ["FAULT_REPORTS"])))
    main(["run"])
