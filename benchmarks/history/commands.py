"""The worker's operations for commands."""

import asyncio
from typing import Final

from benchmarks.history.lives import OWNER, outcome_of
from benchmarks.history.places import (
    APP,
    Place,
    Run,
    expect,
    observed,
)
from recording_schemas import Status
from worker.domain.recording import Observation
from worker.domain.times import utc
from worker.store.claims import ClaimRequest
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply


def _claim(place: Place, command_id: str, kind: str, **more: object) -> ClaimRequest:
    now = place.store.now()
    times = {"lease_seconds": 60.0, "reconcile_seconds": 30.0, "abandoned_before": now - 3600.0}
    fields = {"command_type": kind, "owner": OWNER, "now": now, "app": APP, **times, **more}
    return ClaimRequest(command_id=command_id, **fields)  # type: ignore[arg-type]


async def _finish(place: Place, command_id: str, kind: str, *observations: Observation) -> None:
    now = place.store.now()
    outcome = outcome_of(
        command_id, kind, observations[0].snapshot.recording_id if observations else "", utc(now)
    )
    await place.store.finish(
        FinishRequest(outcome=outcome, reply=Reply(), observations=observations, now=now)
    )


_START: Final = "start_track_recording"
_STOP: Final = "stop_recording"


async def _start(place: Place, repetition: int) -> None:
    command_id = f"new-{repetition}-{place.store.now()}"
    meeting_id = f"meeting-of-{command_id}"
    slot = f"{meeting_id}/track"
    await place.store.claim(_claim(place, command_id, _START, slot=slot, meeting_id=meeting_id))
    now = place.store.now()
    observation = observed(f"recording-{command_id}", now, Status.INVOKED, command_id, meeting_id)
    await _finish(place, command_id, _START, observation)


async def _starts(place: Place, repetition: int) -> None:
    await asyncio.gather(*(_start(place, 1000 * repetition + number) for number in range(100)))


async def _repeated_start(place: Place, repetition: int) -> None:
    claim = _claim(place, place.past("start", repetition), _START, slot="m/track", meeting_id="m")
    expect((await place.store.claim(claim)).verdict == "done")


def _stop_by(id_kind: str) -> Run:
    async def stop(place: Place, repetition: int) -> None:
        command_id = f"stop-{id_kind}-{repetition}-{place.store.now()}"
        subject = place.past(id_kind, repetition)
        slots = {"rival_slots": (f"{subject}/track", f"{subject}/composite")}
        more = slots if id_kind == "meeting" else {}
        claim = _claim(
            place, command_id, _STOP, cancels_starts=True, **{f"{id_kind}_id": subject}, **more
        )
        await place.store.claim(claim)
        await _finish(place, command_id, _STOP)

    return stop


async def _replay(place: Place, repetition: int) -> None:
    newest = place.history.recordings - 1 - repetition % 100
    recording_id = place.history.id_of("recording", newest)
    expect(await place.store.find_replayable([recording_id]))


COMMANDS: Final[dict[str, Run]] = {
    "a start, from its claim to its outcome": _start,
    "100 starts at once": _starts,
    "a repeated start of history": _repeated_start,
    "a stop by the start's id, of history": _stop_by("start"),
    "a stop by the recording's id, of history": _stop_by("recording"),
    "a stop by the meeting's id, of history": _stop_by("meeting"),
    "the events of a recording, for a replay": _replay,
}
