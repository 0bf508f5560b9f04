"""Work in progress when a fault occurs, because a fault during idle time shows little."""

import asyncio
from collections.abc import Callable

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment

SLOW_ANSWER_SECONDS = 2.0
"""How long the API delays the answer to a start, so that some starts are in execution."""
LONG_API_TIMEOUT = {"WORKER_API_TIMEOUT_SECONDS": "20"}
"""The worker's API time-out for such slow answers."""


def starts_in_progress(environment: FaultEnvironment) -> set[str]:
    """Starts that the API has executed and that have no published outcome."""
    begun = {recording.meeting_id for recording in environment.sandbox.request_log.started}
    sent = {
        message.command_id for message in environment.sender.sent if message.meeting_id in begun
    }
    return sent - environment.recorder.outcomes.keys()


async def strike_during_starts(environment: FaultEnvironment, strike: Callable[[], object]) -> None:
    """Call `strike`, which blocks, as soon as slow starts are in execution.

    The worker needs `LONG_API_TIMEOUT`.

    Raises:
        AssertionError: if no start is in execution afterwards. The strike's effect remains.
    """
    slow = environment.sandbox.faults.add(
        Fault(kind="slow", operation="start*", seconds=SLOW_ANSWER_SECONDS)
    )
    # Those that began before the fault have their answers, and may end before the strike.
    quick = starts_in_progress(environment)
    await eventually(
        lambda: starts_in_progress(environment) - quick, description="slow starts are in hand"
    )
    await asyncio.to_thread(strike)
    # On a busy machine a strike may take longer than an answer. Then later starts are in execution.
    assert starts_in_progress(environment), "the fault hit nothing that was in hand"
    environment.sandbox.faults.clear(slow)
