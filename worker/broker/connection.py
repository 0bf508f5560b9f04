"""Connections to the broker: opening one, keeping one up, and calls that survive its loss."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from worker.aio import wait_until_set
from worker.broker.aiormq.frame_reader import TolerantConnection
from worker.domain.errors import BrokerUnavailable

T = TypeVar("T")

HEARTBEAT_SECONDS: Final = 10
"""Without one in AMQP_URL. A silent broker is noticed after about 35 seconds, a little over three
heartbeats."""

CONNECT_TIMEOUT_SECONDS: Final = 10.0
OPEN_CHANNEL_TIMEOUT_SECONDS: Final = 10.0
CLOSE_TIMEOUT_SECONDS: Final = 5.0
MAX_PAUSE_SECONDS: Final = 30.0
CLOSED_MESSAGE: Final = "the channel or the connection was closed"

Session = Callable[[TolerantConnection], Awaitable[None]]
BROKER_ERRORS: Final = (
    AMQPError,
    ChannelInvalidStateError,
    OSError,
    TimeoutError,
    BrokerUnavailable,
)
"""The errors that mean a lost connection, when calls go through `broker_call`.

ChannelInvalidStateError is the library's error for a closed channel, and no AMQPError.
"""


class BrokerConnection:
    """Connects, runs a session for as long as the connection lasts, and connects again.

    Pauses grow with full jitter, so that a restarted broker is not flooded. `url` is read at each
    attempt, so that a changed password is picked up.
    """

    def __init__(self, url: Callable[[], str], name: str) -> None:
        self._url = url
        self._name = name
        self._stopping = asyncio.Event()
        self._failures = 0
        self.unavailable_reason: str | None = "not connected yet"
        """Why there is no ready session now. None while there is one."""

    async def run(self, session: Session) -> None:
        """Run sessions until `stop`. A session calls `mark_ready` when it works."""
        log = structlog.get_logger().bind(connection=self._name)
        while not self._stopping.is_set():
            try:
                await self._run_session(session)
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
        """Note that the session works. The next loss counts as the first one."""
        self._failures = 0
        self.unavailable_reason = None

    def stop(self) -> None:
        """Do not connect again after the current session has ended by itself."""
        self._stopping.set()
        self.unavailable_reason = "stopped"

    async def _run_session(self, session: Session) -> None:
        connection = await open_connection(self._url(), self._name)
        try:
            await broker_call(session(connection))
        finally:
            await close_quietly(connection)

    async def _pause(self, seconds: float) -> None:
        await wait_until_set(self._stopping, seconds)


async def open_connection(url: str, name: str) -> TolerantConnection:
    """Connect once. `name` is shown in the broker's list of connections.

    Raises one of `BROKER_ERRORS`.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
        return await broker_call(
            aio_pika.connect(
                _with_heartbeat(URL(url)),
                client_properties={"connection_name": f"recording-worker {name}"},
                connection_class=TolerantConnection,
            )
        )


def user_of(url: URL) -> str | None:
    """The user whom the URL names. None if the broker takes the user from a certificate."""
    is_external = url.query.get("auth", "plain").upper() == "EXTERNAL"
    return None if is_external else url.user or "guest"


def _with_heartbeat(url: URL) -> URL:
    """The URL with our heartbeat, unless it has one: the library's own is six times longer."""
    return url if "heartbeat" in url.query else url.update_query(heartbeat=HEARTBEAT_SECONDS)


async def broker_call(call: Awaitable[T]) -> T:
    """Await a call of the library. Raises BrokerUnavailable if a closed channel ended it.

    The library mixes up two reasons for which a call can be cut short. When a channel closes, calls
    end with a CancelledError or a bare Exception: a TaskGroup would silently forget the waiting
    task. And when that task is cancelled, the call may raise the channel's error instead, or even
    return: the task would never end. A connection that closes while it is opened ends the call with
    a StopAsyncIteration.
    """
    task = asyncio.current_task()
    try:
        result = await call
    except (asyncio.CancelledError, Exception) as error:
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        is_closed = isinstance(error, asyncio.CancelledError | StopAsyncIteration)
        if is_closed or type(error) is Exception:
            raise BrokerUnavailable(CLOSED_MESSAGE) from error
        raise
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return result


async def open_channel(
    connection: AbstractConnection, *, confirms: bool = False
) -> AbstractChannel:
    """Open a channel. With `confirms`, publishes are confirmed, and an unroutable one raises."""
    async with asyncio.timeout(OPEN_CHANNEL_TIMEOUT_SECONDS):
        try:
            return await broker_call(
                connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
            )
        except RuntimeError as error:  # the connection was lost a moment ago
            raise BrokerUnavailable(str(error)) from error


async def close_quietly(connection: AbstractConnection) -> None:
    """Close a connection that may be broken already."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await broker_call(connection.close())
    except BROKER_ERRORS:
        pass
