"""Adopts recordings that commands acted on, when no unfinished start may have begun them."""

from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from worker.domain.command_keys import slots_of_recording
from worker.store.deferred_recordings import (
    MAX_READ,
    DeferredRecording,
    read_deferred,
    take_deferred,
)
from worker.store.recordings import apply_observations
from worker.store.slots import find_starting

MAX_WAIT_SECONDS: Final = 86_400.0
"""A start that is unfinished for longer is lost. Then the recording is adopted all the same."""


class LateAdoption(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the adoption of an app's recordings at `now`, in seconds since the epoch.

    Only recordings whose id is behind `after` are looked at, and at most 100 of them.
    """

    app: str
    now: float
    after: str = ""


def adopt_deferred(
    connection: sa.Connection, request: LateAdoption, *, source: str, archives: bool
) -> str:
    """Apply what commands observed of the recordings that no unfinished start may have begun.

    A recording that the start has adopted meanwhile takes these observations as late ones. Returns
    the `after` of the next request, which is empty behind the last recording.
    """
    waiting = read_deferred(connection, request.app, request.after)
    after = waiting[-1].recording_id if len(waiting) == MAX_READ else ""
    if not waiting:
        return after
    slots = {slot for recording in waiting for slot in _slots(recording, request.app)}
    # Before the recordings are read, because a start commits its end together with its recording.
    (starting,) = find_starting(connection, [slots])
    free = [
        recording
        for recording in waiting
        if starting.keys().isdisjoint(_slots(recording, request.app))
        or request.now - recording.since > MAX_WAIT_SECONDS
    ]
    if not free:
        return after
    taken = take_deferred(connection, [recording.recording_id for recording in free])
    apply_observations(
        connection,
        [
            [msgspec.structs.replace(each, awaits_start=False) for each in observations]
            for observations in taken.values()
        ],
        source=source,
        archives=archives,
    )
    structlog.get_logger().info(
        "external_recordings_adopted", app=request.app, recordings=len(free)
    )
    return after


def _slots(recording: DeferredRecording, app: str) -> set[str]:
    return {
        slot
        for observation in recording.observations
        for slot in slots_of_recording(app, observation.snapshot)
    }
