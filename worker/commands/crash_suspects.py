"""Crash suspects: deliveries that may end the process of the worker that executes them. Pure.

They run one at a time, so that a crash counts against the command that caused it.
"""

from typing import Final

from worker.broker.messages import Delivery
from worker.domain.command_keys import CommandKeys

CRASH_SUSPECT_RETURNS: Final = 2
"""A delivery is a crash suspect after its consumer was lost this often."""


def is_crash_suspect(delivery: Delivery) -> bool:
    """Whether executing the delivery may have ended a worker's process."""
    return delivery.redelivery_count >= CRASH_SUSPECT_RETURNS


def lock_names(delivery: Delivery, keys: CommandKeys) -> tuple[str, ...]:
    """The locks that the command needs. All crash suspects share one."""
    return ("crash_suspects", *keys.locks) if is_crash_suspect(delivery) else keys.locks
