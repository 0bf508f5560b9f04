"""What a worker has in hand when a fault hits it: one that hits an idle worker shows little."""

import asyncio
from collections.abc import Callable

from recording_sandbox.model.faults import Fault
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment

SLOW_ANSWER_SECONDS = 2.0
"""How long the API makes a start wait for its answer, so that there are some in hand."""
LONG_API_TIMEOUT = {"WORKER_API_TIMEOUT_SECONDS": "20"}
"""The setting of a worker that waits so long."""


def starts_in_progress(environment: FaultEnvironment) -> set[str]:
    """Starts that the API has executed for a worker and of which nobody has heard an outcome."""
    begun = {one.meeting_id for one in environment.sandbox.request_log.started}
    sent = {one.command_id for one in environment.sender.sent if one.meeting_id in begun}
    return sent - environment.recorder.outcomes.keys()


async def strike_during_starts(environment: FaultEnvironment, strike: Callable[[], object]) -> None:
    """Do this, which blocks, as soon as slow starts are in hand.

    The worker is to have `LONG_API_TIMEOUT`.

    Raises:
        AssertionError: if no start is in hand when it is done. What it has ended stays ended.
    """
    slow = environment.sandbox.faults.add(
        Fault(kind="slow", operation="start*", seconds=SLOW_ANSWER_SECONDS)
    )
    # Those that began before the fault have their answers, and may end before the strike.
    quick = starts_in_progress(environment)
    await eventually(
        lambda: starts_in_progress(environment) - quick, what="slow starts are in hand"
    )
    await asyncio.to_thread(strike)
    # On a busy machine a strike may take longer than an answer. Then later starts are in hand.
    assert starts_in_progress(environment), "the fault hit nothing that was in hand"
    environment.sandbox.faults.clear(slow)
