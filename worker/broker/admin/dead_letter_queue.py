"""Shows, replays and drops the letters of the dead-letter queue.

All letters are received when the queue is opened, and the rest is requeued at the end. Quorum
queues count that as a delivery. From RabbitMQ 4.0 on, a queue drops a message after 20 deliveries
by default, so the worker declares a very high limit.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from aio_pika.abc import AbstractChannel, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from msgspec.structs import replace

from worker.broker.admin.dead_letter import DeadLetter, dead_letter_from, replay_of
from worker.broker.admin.one_shot import error_summary, publish_on
from worker.broker.admin.queue_browser import QueueBrowser
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.broker.aiormq.raw_channel import raw_channel
from worker.broker.broker_url import user_of
from worker.broker.connection import BROKER_ERRORS, open_channel
from worker.broker.topology import RPC_TIMEOUT_SECONDS, Topology
from worker.domain.errors import BrokerUnavailable, TopologyDiffers


class DeadLetterQueue:
    """The letters that waited when the queue was opened, by `open_dead_letter_queue`.

    No other consumer gets these letters until the end. Letters that are dead-lettered later are not
    included. Every method that waits raises BrokerUnavailable if the broker does not answer. The
    broker then requeues the letters.
    """

    def __init__(
        self,
        browser: QueueBrowser,
        letters: Sequence[DeadLetter],
        not_taken: int,
        publishing: AbstractChannel,
        command_exchange: str,
        *,
        timeout: float,
        user: str | None,
    ) -> None:
        self._browser = browser
        self._unread = deque(letters)
        self._not_taken = not_taken
        self._publishing = publishing
        self._command_exchange = command_exchange
        self._timeout = timeout
        self._user = user

    @property
    def remaining(self) -> int:
        """How many letters `next` has not returned, including those above the browser's limits."""
        return len(self._unread) + self._not_taken

    def next(self) -> DeadLetter | None:
        """The next letter, oldest first. None after the last one."""
        return self._unread.popleft() if self._unread else None

    async def replay(self, letter: DeadLetter) -> None:
        """Publish a copy to the exchange of commands, then drop the letter.

        The copy has the letter's bytes, properties and headers, `x-replays` and `x-replayed-at`.
        Its age starts anew: `x-first-seen` becomes `x-replay-first-seen`. If this is interrupted
        between the two steps, both the copy and the letter exist, with one id.

        Raises:
            TopologyDiffers: no queue is bound for it. The letter stays.
            BrokerUnavailable: no confirmation in time. The letter stays; a copy may exist.
            ValueError: its headers cannot be sent again. The letter stays.
        """
        message = replay_of(letter, self._command_exchange, time.time(), self._user)
        if not await publish_on(self._publishing, message, timeout=self._timeout):
            raise TopologyDiffers(
                f"not replayed: no queue is bound to {message.exchange!r} for "
                f"{message.routing_key!r}"
            )
        await self.drop(letter)

    async def drop(self, letter: DeadLetter) -> None:
        """Remove the letter from the dead-letter queue permanently."""
        with _translated_errors():
            await self._browser.acknowledge(letter.tag)


@asynccontextmanager
async def open_dead_letter_queue(
    connection: TolerantConnection, topology: Topology, *, timeout: float
) -> AsyncIterator[DeadLetterQueue]:
    """Receive the letters. At the end, requeue those that were neither replayed nor dropped.

    `timeout` limits the wait for each confirmation, in seconds. Raises TopologyDiffers if the queue
    or the exchange for commands does not exist, and BrokerUnavailable if the broker does not
    answer.
    """
    exchange = topology.exchange("commands")
    with _translated_errors():
        channel = await open_channel(connection)
        queue = await channel.declare_queue(
            topology.dead_queue, passive=True, timeout=RPC_TIMEOUT_SECONDS
        )
        # On a separate channel, because an error closes a channel, and that requeues all letters.
        publishing = await open_channel(connection, confirms=True)
        await publishing.declare_exchange(exchange, passive=True, timeout=RPC_TIMEOUT_SECONDS)
        browser = QueueBrowser(connection, queue, await raw_channel(channel))
        letters = await _take_letters(browser, topology.dead_queue)
    not_taken = max(0, _message_count(queue) - len(letters))
    try:
        yield DeadLetterQueue(
            browser,
            letters,
            not_taken,
            publishing,
            exchange,
            timeout=timeout,
            user=user_of(connection.url),
        )
    except BaseException:
        with suppress(*BROKER_ERRORS):  # the first error counts, and the letters return anyway
            await browser.close()
        raise
    with _translated_errors():
        await browser.close()


async def _take_letters(browser: QueueBrowser, dead_queue: str) -> list[DeadLetter]:
    """The letters, oldest first. Letters of the same time are in the order of their fingerprints,
    so that positions stay the same."""
    letters = [
        dead_letter_from(tag, message, dead_queue) for tag, message in await browser.take_all()
    ]
    letters.sort(key=lambda letter: (letter.dead_since, letter.fingerprint))
    return [replace(letter, position=number) for number, letter in enumerate(letters, start=1)]


def _message_count(queue: AbstractQueue) -> int:
    """How many messages waited when the queue was declared."""
    return queue.declaration_result.message_count or 0


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raises the library's errors as the worker's own."""
    try:
        yield
    except ChannelNotFoundEntity as error:
        raise TopologyDiffers(
            f"missing on the broker: {error_summary(error)}. Is WORKER_NAME_PREFIX the workers'?"
        ) from error
    except BROKER_ERRORS as error:
        raise BrokerUnavailable(error_summary(error)) from error
