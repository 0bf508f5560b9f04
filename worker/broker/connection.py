"""One connection to the broker, kept up."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.domain.errors import BrokerUnavailable

T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 10
"""Seconds. A silent peer is noticed after about three and a bit of them."""

CONNECT_TIMEOUT_SECONDS: Final = 10.0
OPEN_CHANNEL_TIMEOUT_SECONDS: Final = 10.0
MAX_PAUSE_SECONDS: Final = 30.0
CLOSED_MESSAGE: Final = "the channel or the connection was closed"

Session = Callable[[AbstractConnection], Awaitable[None]]
BROKER_ERRORS: Final = (
    AMQPError,
    ChannelInvalidStateError,
    OSError,
    TimeoutError,
    BrokerUnavailable,
)
"""What the loss of a connection looks like. The library's error for a closed channel is none of
its AMQP errors, and some of its calls end as if cancelled: see `broker_call`."""


class BrokerConnection:
    """Connects, runs a session for as long as the connection lasts, and connects again.

    Pauses grow with full jitter, so that a restarted broker meets no herd. `url` is asked at each
    attempt: a changed password is picked up.
    """

    def __init__(self, url: Callable[[], str], name: str) -> None:
        self._url = url
        self._name = name
        self._stopping = asyncio.Event()
        self._failures = 0
        self.unavailable_reason: str | None = "not connected yet"
        """Why there is no working session now; None while there is one."""

    async def run(self, session: Session) -> None:
        """Keep sessions going until `stop`. A session says that it works with `mark_ready`."""
        log = structlog.get_logger().bind(connection=self._name)
        while not self._stopping.is_set():
            try:
                await self._one(session)
                self.unavailable_reason = "the connection was lost"
            except BROKER_ERRORS as error:
                self.unavailable_reason = f"{type(error).__name__}: {error}"[:300]
            if self._stopping.is_set():
                return
            pause = random.uniform(0, min(MAX_PAUSE_SECONDS, 0.5 * 2**self._failures))
            self._failures = min(self._failures + 1, 10)
            log.warning(
                "broker_connection_lost",
                reason=self.unavailable_reason,
                pause_seconds=round(pause, 3),
            )
            await self._pause(pause)

    def mark_ready(self) -> None:
        """The session is up: from now on a loss is a first one."""
        self._failures = 0
        self.unavailable_reason = None

    def stop(self) -> None:
        """End the current session's connection by itself, and do not connect again."""
        self._stopping.set()
        self.unavailable_reason = "stopped"

    async def _one(self, session: Session) -> None:
        url = URL(self._url()).update_query(heartbeat=HEARTBEAT_SECONDS)
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            connection = await broker_call(
                aio_pika.connect(
                    url,
                    client_properties={"connection_name": f"recording-worker {self._name}"},
                    connection_class=TolerantConnection,
                )
            )
        try:
            await broker_call(session(connection))
        finally:
            await close_quietly(connection)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def broker_call(waiting: Awaitable[T]) -> T:
    """What `waiting` comes to; BrokerUnavailable if it ended because a channel was closed.

    The library mixes up the two reasons for which a call can be cut short. When a channel closes,
    calls end with a CancelledError or a bare Exception: a TaskGroup would silently forget the task
    that waits. And when that task is cancelled, the call may raise the channel's error instead, or
    even return: the task would never end. A connection that ends while it is being made ends with
    a StopAsyncIteration.
    """
    task = asyncio.current_task()
    try:
        result = await waiting
    except (asyncio.CancelledError, Exception) as error:
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        closed = isinstance(error, asyncio.CancelledError | StopAsyncIteration)
        if closed or type(error) is Exception:
            raise BrokerUnavailable(CLOSED_MESSAGE) from error
        raise
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return result


async def open_channel(
    connection: AbstractConnection, *, confirms: bool = False
) -> AbstractChannel:
    """A new channel; with `confirms`, publishes wait for theirs, and an unroutable one raises."""
    async with asyncio.timeout(OPEN_CHANNEL_TIMEOUT_SECONDS):
        try:
            return await broker_call(
                connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
            )
        except RuntimeError as error:  # the connection was lost a moment ago
            raise BrokerUnavailable(str(error)) from error


async def close_quietly(connection: AbstractConnection) -> None:
    """Close what may be broken already."""
    try:
        async with asyncio.timeout(5):
            await broker_call(connection.close())
    except BROKER_ERRORS:
        pass
