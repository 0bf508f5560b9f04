"""What the commands read from the environment, and how they listen to signals."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.broker.topology import Topology
    from worker.settings.settings import CommonSettings


def common_settings() -> "CommonSettings":
    """The settings that every command but `run` needs. Raises WrongSettings."""
    from worker.settings.settings import CommonSettings

    # The libraries also log what they raise, and would say it before we do.
    logging.getLogger().addHandler(logging.NullHandler())
    return CommonSettings.from_env(os.environ)


def topology_from(settings: "CommonSettings") -> "Topology":
    """The names on the broker that these settings make."""
    from worker.broker.topology import Topology

    return Topology(prefix=settings.name_prefix, retry_delays=settings.retry_delays_seconds)


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; the next one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def forget() -> None:
        # Left to the kernel, a second signal also ends a process whose loop is stuck.
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    def stop() -> None:
        stopped.set()
        forget()

    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        forget()
