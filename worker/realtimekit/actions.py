"""Stops, pauses or resumes one recording, and finds the reason of a refusal."""

from collections.abc import Callable, Mapping
from typing import Final

from recording_schemas import Status
from worker.domain.errors import NotFound, NotYet, Refused
from worker.domain.recording import STOPPABLE, STOPPED
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import Action

ACHIEVED: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": STOPPED,
    "pause": frozenset({Status.PAUSED}),
    "resume": frozenset({Status.RECORDING}),
}
"""The statuses in which an action has nothing left to do."""

POSSIBLE: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": STOPPABLE - {Status.INVOKED},
    "pause": frozenset({Status.RECORDING}),
    "resume": frozenset({Status.PAUSED}),
}
"""The statuses in which the API executes an action."""

TOO_EARLY_CODES: Final[Mapping[Action, str]] = {
    "stop": "not_stoppable",
    "pause": "not_pausable",
    "resume": "not_resumable",
}


class Ended(Refused):
    """The API refused because the recording is gone, or ended before a pause or resume."""


class Gone(Ended):
    """The API answers 404 for the recording. It may also do so for one that has just begun."""


async def act_on_recording(
    api: RealtimeKitClient,
    recording_id: str,
    action: Action,
    *,
    retry: bool = True,
    on_answer_lost: Callable[[], None] | None = None,
    on_read: Callable[[RecordingSnapshot], None] | None = None,
) -> RecordingSnapshot:
    """Act on one recording. If the API refuses, read the recording, because its status says why.
    `on_answer_lost` is called when a call may have been executed although its answer is lost, and
    `on_read` with what was read.

    - The recording already has the status that the action leads to: the action succeeded.
    - Its status allows the action: the call came a moment too early. Try once more.
    - It is still INVOKED: raise NotYet.
    - It has ended: raise Ended.
    - The API does not have it: raise Gone.
    - Otherwise the refusal is final: raise Refused.
    """
    try:
        return await api.control_recording(recording_id, action, on_answer_lost=on_answer_lost)
    except Refused as error:
        refused = error
    try:
        snapshot = await api.get_recording(recording_id)
    except NotFound:
        raise _ended(refused, Gone) from None
    if on_read is not None:
        on_read(snapshot)
    if snapshot.status in ACHIEVED[action]:
        return snapshot
    if retry and snapshot.status in POSSIBLE[action]:
        return await act_on_recording(
            api,
            recording_id,
            action,
            retry=False,
            on_answer_lost=on_answer_lost,
            on_read=on_read,
        )
    if snapshot.status is Status.INVOKED:
        raise NotYet(TOO_EARLY_CODES[action], refused.message) from refused
    if snapshot.status in STOPPED:
        raise _ended(refused, Ended)
    raise refused


def _ended(refused: Refused, kind: type[Ended]) -> Ended:
    return kind(refused.code, refused.message, http_status=refused.http_status, field=refused.field)
