"""Moves parked commands that are due from the store back to the command queue.

A command is published at least once: its parking is removed only after the broker's confirmation. A
crash between the two publishes it again, and the inbox recognises it.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from worker.aio import wait_until_set
from worker.broker.kept_copy import unparked_message
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.domain.errors import BrokerUnavailable, StoreUnavailable
from worker.store.due_commands import DueCommand
from worker.store.store import Store

IDLE_INTERVAL_SECONDS: Final = 1.0
"""How often the relay checks for commands that have become due."""


class ParkedRelay:
    """Publishes due commands while this replica leads. Call `wake` when some may be due.

    `now` is in seconds since the epoch.
    """

    def __init__(
        self, store: Store, publisher: Publisher, topology: Topology, *, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._queue = topology.command_queue
        self._now = now
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Read the due commands now."""
        self._woken.set()

    async def run(self, is_leader: Callable[[], bool]) -> None:
        """Publish due commands in a loop while this replica is the leader."""
        while True:
            self._woken.clear()
            if not (is_leader() and await self.publish_due()):
                await wait_until_set(self._woken, IDLE_INTERVAL_SECONDS)

    async def publish_due(self) -> bool:
        """Publish one page of due commands. Returns whether another page may follow at once."""
        if not self._publisher.is_ready:
            return False
        try:
            page = await self._store.due_commands(self._now())
            if not page:
                return False
            results = await asyncio.gather(*(self._publish(command) for command in page))
            published = [command for command, is_out in zip(page, results, strict=True) if is_out]
            await self._store.remove_published([command.position for command in published])
        except StoreUnavailable as error:
            structlog.get_logger().warning("parked_relay_failed", reason=str(error))
            return False
        self._log(published)
        return len(published) == len(page)

    async def _publish(self, command: DueCommand) -> bool:
        """Whether the queue has the command now. If not, it stays due."""
        try:
            message = unparked_message(
                command.body,
                command.envelope,
                command_queue=self._queue,
                position=command.position,
                now=self._now(),
                max_frame_bytes=self._publisher.max_frame_bytes,
            )
            return await self._publisher.publish(message)
        except (BrokerUnavailable, msgspec.DecodeError) as error:
            structlog.get_logger().warning(
                "unpark_failed", command_id=command.command_id, reason=str(error)
            )
            return False

    def _log(self, published: Sequence[DueCommand]) -> None:
        now = self._now()
        for command in published:
            if command.number == 0:
                structlog.get_logger().info(
                    "command_unparked",
                    command_id=command.command_id,
                    waited_for=command.waits_for,
                    app=command.app,
                    subject=command.subject,
                    seconds=round(now - command.parked_at, 3),
                )
