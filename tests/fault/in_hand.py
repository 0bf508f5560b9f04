"""What a worker has in hand when a fault hits it: one that hits an idle worker shows little."""

import asyncio
from collections.abc import Callable

from sandbox.model.faults import Fault
from sandbox.waiting import eventually
from tests.fault.field import Field

ANSWER_SECONDS = 2.0
"""How long the API makes a start wait for its answer, so that there are some in hand."""
PATIENCE = {"WORKER_API_TIMEOUT_SECONDS": "20"}
"""The setting of a worker that waits so long."""


def in_hand(field: Field) -> set[str]:
    """Starts that the API has executed for a worker and of which nobody has heard an outcome."""
    begun = {one.meeting_id for one in field.sandbox.request_log.started}
    sent = {one.command_id for one in field.sender.sent if one.meeting_id in begun}
    return sent - field.recorder.outcomes.keys()


async def strike_at_work(field: Field, strike: Callable[[], object]) -> None:
    """Do this, which blocks, as soon as starts are in hand. AssertionError if they ended before it.

    The worker is to have `PATIENCE`.
    """
    slow = field.sandbox.faults.add(Fault(kind="slow", operation="start*", seconds=ANSWER_SECONDS))
    before = await eventually(lambda: in_hand(field), what="starts are in hand")
    await asyncio.to_thread(strike)
    assert before & in_hand(field), "the fault hit nothing that was in hand"
    field.sandbox.faults.clear(slow)
