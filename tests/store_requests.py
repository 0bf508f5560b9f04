"""Requests to the store, with values for the fields that a test does not choose."""

from datetime import datetime
from typing import Any

from recording_schemas import CommandSucceeded, ObservedBy
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.store.claims import ClaimRequest
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply


def claim_request(
    command_id: str, command_type: str = "start_track_recording", **fields: Any
) -> ClaimRequest:
    """A claim by `me` at 1000 seconds, for a minute."""
    waits = {"lease_seconds": 60.0, "reconcile_seconds": 30.0, "abandoned_before": 0.0}
    chosen: dict[str, Any] = {"owner": "me", "now": 1000.0} | waits | fields
    return ClaimRequest(command_id=command_id, command_type=command_type, **chosen)


def success_of(
    command_id: str,
    *observations: Observation,
    at: datetime,
    command_type: str = "start_track_recording",
    recording_ids: tuple[str, ...] = ("r1",),
    reply: Reply | None = None,
    now: float | None = None,
) -> FinishRequest:
    """The command succeeded `at` a time. `now` is that of the commit, by default the same."""
    data = CommandSucceeded(
        command_id=command_id,
        command_type=command_type,
        recording_ids=recording_ids,
        metadata=None,
    )
    record = outcome_record(data, source="test", at=at, correlation_id=None, trace={})
    return FinishRequest(
        outcome=record,
        reply=reply or Reply(),
        observations=observations,
        now=at.timestamp() if now is None else now,
    )


def observation_of(
    snapshot: RecordingSnapshot, at: datetime, by: ObservedBy = "sweep", **fields: Any
) -> Observation:
    """A snapshot from the answer to a request that took no time, unless `asked_at` says so."""
    fields.setdefault("asked_at", at)
    return Observation(snapshot=snapshot, observed_by=by, observed_at=at, **fields)
