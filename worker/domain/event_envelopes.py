"""Events ready to be published: their ids, their routing, and their CloudEvents JSON. Pure.

The id of an event is a hash of the fact that the event reports. So the same fact always has the
same id, on every replica and at every publication, and subscribers can discard repeats:

    outcome/{command_id}                    the final outcome of a command
    recording/{recording_id}/{sequence}     the n-th event of a recording
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha1
from typing import Final

import msgspec

from recording_schemas import EVENT_TYPES, Outcome, encode_event, exchange_of, routing_key
from recording_schemas.events import Exchange
from worker.domain.recording import Recording, RecordingEvent

EVENT_ID_NAMESPACE: Final = uuid.UUID("6f1d3b0e-52c7-5d0c-9c0b-7a1f0c1c2a55")
"""The UUID namespace of all event ids. A change would give old facts new ids."""

ID_CONFLICT_HEADER: Final = "x-id-conflict"
"""The AMQP header of a reply whose outcome belongs to another body with the command's id."""


class RecordingEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a recording. `body` is the whole CloudEvent as JSON.

    `exchange` is the last part of the exchange's name.
    """

    event_id: str
    event_type: str
    exchange: Exchange
    routing_key: str
    body: bytes


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A command's final outcome, as it was first published.

    The store keeps it as JSON and publishes it again when the command is repeated, so the names of
    its fields must not change. `body` is the whole CloudEvent, `trace` the headers of the trace
    that the outcome continues.
    """

    event_id: str
    event_type: str
    routing_key: str
    command_id: str
    correlation_id: str
    body: str
    trace: dict[str, str] = {}


def event_id_of(fact: str) -> str:
    """The event id of a fact: `str(uuid.uuid5(EVENT_ID_NAMESPACE, fact))`, computed in a third
    of its time."""
    digest = sha1(EVENT_ID_NAMESPACE.bytes + fact.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def recording_envelopes(
    recording: Recording, events: Sequence[RecordingEvent], *, source: str, at: datetime
) -> list[RecordingEnvelope]:
    """The envelopes of one recording's newest events, in their order.

    `recording` is the state after the events: its `sequence` is the number of the last one.
    """
    first = recording.sequence - len(events) + 1
    return [
        _recording_envelope(recording.recording_id, event, number, source=source, at=at)
        for number, event in enumerate(events, start=first)
    ]


def _recording_envelope(
    recording_id: str, event: RecordingEvent, number: int, *, source: str, at: datetime
) -> RecordingEnvelope:
    event_id = event_id_of(f"recording/{recording_id}/{number}")
    return RecordingEnvelope(
        event_id=event_id,
        event_type=EVENT_TYPES[type(event)],
        exchange=exchange_of(event),
        routing_key=routing_key(event),
        body=encode_event(
            event,
            id=event_id,
            source=source,
            subject=recording_id,
            time=at,
            sequence=f"{number:012d}",
        ),
    )


def outcome_record(
    outcome: Outcome,
    *,
    source: str,
    at: datetime,
    correlation_id: str | None,
    trace: dict[str, str],
) -> OutcomeRecord:
    """The event of a command's outcome. Its id depends only on the command's id."""
    event_id = event_id_of(f"outcome/{outcome.command_id}")
    body = encode_event(
        outcome, id=event_id, source=source, subject=outcome.command_id, time=at, sequence=None
    )
    return OutcomeRecord(
        event_id=event_id,
        event_type=EVENT_TYPES[type(outcome)],
        routing_key=routing_key(outcome),
        command_id=outcome.command_id,
        correlation_id=correlation_id or outcome.command_id,
        body=body.decode(),
        trace=trace,
    )
