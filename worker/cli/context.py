"""The common start of subcommands: settings from the environment, and signals."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from worker.cli.default_signals import ending_action

if TYPE_CHECKING:
    from worker.broker.topology import Topology
    from worker.settings.settings import CommonSettings


def common_settings() -> "CommonSettings":
    """The settings that every subcommand but `run` needs. Raises WrongSettings."""
    from worker.settings.settings import CommonSettings

    silence_libraries()
    return CommonSettings.from_env(os.environ)


def silence_libraries() -> None:
    """Stop libraries from logging errors that they also raise, because the caller prints those."""
    logging.getLogger().addHandler(logging.NullHandler())


def topology_from(settings: "CommonSettings") -> "Topology":
    """The exchanges and queues that these settings name."""
    from worker.broker.topology import Topology

    return Topology(prefix=settings.name_prefix, retry_delays=settings.retry_delays_seconds)


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM, SIGINT or SIGHUP sets; the next ends the process at once.

    A closed terminal sends SIGHUP. `nohup` makes the process ignore it, so it stays ignored.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)

    def restore_defaults() -> None:
        # With the kernel's default, a second signal also ends a process whose loop is stuck.
        for number in signals:
            loop.remove_signal_handler(number)
            signal.signal(number, ending_action())

    def stop() -> None:
        stopped.set()
        restore_defaults()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        restore_defaults()
