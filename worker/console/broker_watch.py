"""Receives events as `tail` does, and counts the queues, over one connection that is restored."""

import asyncio
import random
from collections.abc import Callable
from typing import Final, Literal

import msgspec
import structlog

from recording_schemas import CloudEvent, NotAnEvent, decode_event
from worker.aio import cancel_all
from worker.broker.admin.one_shot import Connection, connect
from worker.broker.admin.queue_counts import QueueCounts, count_queues
from worker.broker.admin.subscriber import Subscription, subscribe
from worker.broker.topology import Topology
from worker.domain.errors import RecordingWorkerError
from worker.settings.secret import Secret

COUNT_INTERVAL_SECONDS: Final = 3.0
COUNT_TIMEOUT_SECONDS: Final = 2.0
RECONNECT_SECONDS: Final = 3.0
LISTENED: Final = ("status", "files", "results")

WatchState = Literal["connecting", "listening", "unavailable"]


class BrokerState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether events arrive, and what the queues hold. `reason` says why events do not arrive."""

    state: WatchState
    reason: str | None = None
    queues: QueueCounts | None = None


class BrokerWatch:
    """Calls `on_event` for each event, and `on_state` when the state or a count changes.

    The queues are counted when `recent_queues` asks for them, at most every few seconds.
    """

    def __init__(
        self,
        url: Secret,
        topology: Topology,
        *,
        on_event: Callable[[CloudEvent], None],
        on_state: Callable[[BrokerState], None],
        count_interval_seconds: float,
    ) -> None:
        self._url = url
        self._topology = topology
        self._asked = asyncio.Event()
        self._counted = asyncio.Event()  # set while the last count is recent
        self._on_event = on_event
        self._on_state = on_state
        self._count_interval = count_interval_seconds
        self.state = BrokerState(state="connecting")

    async def recent_queues(self) -> QueueCounts | str:
        """The counts of the queues now, or why there are none."""
        if self.state.state == "listening" and not self._counted.is_set():
            self._asked.set()
            try:
                await asyncio.wait_for(self._counted.wait(), COUNT_TIMEOUT_SECONDS)
            except TimeoutError:
                return self.state.reason or "RabbitMQ did not answer in time"
        return self.state.queues or self.state.reason or "not connected yet"

    async def run(self) -> None:
        """Listen, and connect again after each loss, forever."""
        while True:
            try:
                await self._listen()
            except RecordingWorkerError as error:
                reason = str(error)
                if self.state.reason != reason:
                    structlog.get_logger().warning("console_broker_unavailable", reason=reason)
                self._note(BrokerState(state="unavailable", reason=reason))
            await asyncio.sleep(RECONNECT_SECONDS * random.uniform(0.5, 1.0))

    async def _listen(self) -> None:
        exchanges = [
            name for name in self._topology.exchanges if name.rpartition(".")[2] in LISTENED
        ]
        async with (
            connect(self._url.reveal(), "console") as connection,
            subscribe(connection, exchanges) as subscription,
        ):
            # Not in a TaskGroup: it would leave this task marked as cancelled, and then the
            # connection could not be closed.
            tasks = [
                asyncio.create_task(self._receive(subscription), name="console-receive"),
                asyncio.create_task(self._count(connection), name="console-count"),
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await cancel_all(tasks)
            for task in done:
                task.result()

    async def _receive(self, subscription: Subscription) -> None:
        while True:
            message = await subscription.next()
            try:
                event = decode_event(message.body)
            except NotAnEvent:
                continue
            self._on_event(event)

    async def _count(self, connection: Connection) -> None:
        while True:
            self._asked.clear()
            counts = await count_queues(connection, self._topology)
            self._note(BrokerState(state="listening", queues=counts))
            self._counted.set()
            try:
                await asyncio.sleep(self._count_interval)
            finally:
                self._counted.clear()
            await self._asked.wait()

    def _note(self, state: BrokerState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)
