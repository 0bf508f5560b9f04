"""Opens connections to the broker, keeps them open, and makes calls that survive their loss."""

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
from worker.broker.aiormq.raw_channel import RawChannel
from worker.broker.aiormq.refusals import is_refused_virtual_host
from worker.broker.broker_url import host_of, urls_of
from worker.broker.connect_hints import described_failure
from worker.domain.errors import BrokerUnavailable

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS: Final = 10.0
OPEN_CHANNEL_TIMEOUT_SECONDS: Final = 10.0
CLOSE_TIMEOUT_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 30.0
MAX_DOUBLED_PAUSES: Final = 10
MAX_REASON_LENGTH: Final = 500
REFUSED_VIRTUAL_HOST: Final = (
    "RabbitMQ closed the connection while it was opened. The virtual host of AMQP_URL does not "
    "exist, refuses the user, or has reached its limit of connections."
)
CLOSED_MESSAGE: Final = "the channel or the connection was closed"

Session = Callable[[TolerantConnection], Awaitable[None]]
BROKER_ERRORS: Final = (
    AMQPError,
    ChannelInvalidStateError,
    OSError,
    TimeoutError,
    BrokerUnavailable,
)
"""The errors of calls through `broker_call` that mean a lost connection.

ChannelInvalidStateError is the library's error for a closed channel. It is not an AMQPError.
"""


class BrokerConnection:
    """Connects, runs a session for as long as the connection lasts, and connects again.

    If `url` names several hosts, they are tried in order; after a loss the next one. Pauses grow
    with each round and have full jitter, so that not all clients of a restarted broker return at
    once. `url` is read at each attempt, so that a changed password is used.
    """

    def __init__(self, url: Callable[[], str], name: str) -> None:
        self._url = url
        self._name = name
        self._stopping = asyncio.Event()
        self._failures = 0
        self._attempts = 0
        self.unavailable_reason: str | None = "not connected yet"
        """Why there is no ready session now. None while there is one."""

    async def run(self, session: Session) -> None:
        """Run sessions until `stop`. A session calls `mark_ready` when it works."""
        log = structlog.get_logger().bind(connection=self._name)
        while not self._stopping.is_set():
            urls = urls_of(self._url())
            url = urls[self._attempts % len(urls)]
            self._attempts += 1
            try:
                await self._run_session(url, session)
                reason = "the connection was lost"
            except BROKER_ERRORS as error:
                reason = described(error)
            if self._stopping.is_set():
                return
            self.unavailable_reason = f"{host_of(url)}: {reason}" if len(urls) > 1 else reason
            pause = random.uniform(0, self._max_pause(len(urls)))
            self._failures += 1
            log.warning(
                "broker_connection_lost",
                host=host_of(url),
                reason=reason,
                pause_seconds=round(pause, 3),
            )
            await wait_until_set(self._stopping, pause)

    def _max_pause(self, hosts: int) -> float:
        rounds = min(self._failures // hosts, MAX_DOUBLED_PAUSES)
        return min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**rounds)

    def mark_ready(self) -> None:
        """Note that the session works. The next loss counts as the first one."""
        self._failures = 0
        self.unavailable_reason = None

    def stop(self) -> None:
        """Do not connect again after the current session has ended."""
        self._stopping.set()
        self.unavailable_reason = "stopped"

    async def _run_session(self, url: URL, session: Session) -> None:
        connection = await self._connect(url)
        if connection is None:
            return
        try:
            await broker_call(session(connection))
        except BROKER_ERRORS:
            await close_quietly(connection)  # only then its reason is known
            if connection.end_reason is None:
                raise
        finally:
            await close_quietly(connection)
        if connection.end_reason is not None:
            raise connection.end_reason

    async def _connect(self, url: URL) -> TolerantConnection | None:
        """The open connection. None if `stop` comes first: a silent host takes many seconds."""
        connecting = asyncio.create_task(_connect(url, self._name), name=f"connect/{self._name}")
        stopping = asyncio.create_task(self._stopping.wait(), name=f"stop/{self._name}")
        try:
            await asyncio.wait((connecting, stopping), return_when=asyncio.FIRST_COMPLETED)
            return connecting.result() if connecting.done() else None
        finally:
            connecting.cancel()
            stopping.cancel()


async def open_connection(url: str, name: str) -> TolerantConnection:
    """Connect once, to the first host of the URL that accepts the connection.

    `name` is shown in the broker's list of connections. Raises one of `BROKER_ERRORS`: that of the
    last host, or with several hosts BrokerUnavailable with the error of each.
    """
    urls = urls_of(url)
    failures: list[str] = []
    for host_url in urls:
        try:
            return await _connect(host_url, name)
        except BROKER_ERRORS as error:
            if len(urls) == 1:
                raise
            failures.append(f"{host_of(host_url)}: {described(error)}")
    raise BrokerUnavailable("; ".join(failures))


async def _connect(url: URL, name: str) -> TolerantConnection:
    connecting = aio_pika.connect(
        url,
        client_properties={"connection_name": f"recording-worker {name}"},
        connection_class=TolerantConnection,
    )
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            return await broker_call(connecting)
    except BROKER_ERRORS as error:
        if is_refused_virtual_host(error):
            raise BrokerUnavailable(REFUSED_VIRTUAL_HOST) from error
        if described := described_failure(error, uses_tls=url.scheme == "amqps"):
            raise BrokerUnavailable(described) from error
        raise


def described(error: BaseException) -> str:
    """The error with its class, for log lines and reasons. A deadline of our own has no text."""
    text = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else "")
    return f"{type(error).__name__}: {text}".removesuffix(": ")[:MAX_REASON_LENGTH]


async def broker_call(call: Awaitable[T]) -> T:
    """Await a call of the library. Raises BrokerUnavailable if a closed channel ended it.

    The library does not distinguish two reasons for ending a call. If a channel closes, calls end
    with a CancelledError or a bare Exception, and a TaskGroup would silently drop the waiting task.
    If that task is cancelled, the call may raise the channel's error instead, or even return, and
    the task would never end. If a connection closes while it is opened, the call ends with a
    StopAsyncIteration.
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
        except RuntimeError as error:  # the connection was just lost
            raise BrokerUnavailable(str(error)) from error


async def close_quietly(
    closable: AbstractConnection | AbstractChannel | RawChannel,
    timeout: float = CLOSE_TIMEOUT_SECONDS,
) -> None:
    """Close a connection or a channel that may already be broken, within `timeout` seconds."""
    try:
        async with asyncio.timeout(timeout):
            await broker_call(closable.close())
    except BROKER_ERRORS:
        pass
