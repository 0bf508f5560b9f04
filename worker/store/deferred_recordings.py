"""Recordings that a command acted on, and that an unfinished start may have begun.

Only that start may adopt such a recording, with its `start_id` and `metadata`. If it does not, the
worker adopts the recording when the start has ended (`late_adoption`). Until then, this has what
commands observed of it.
"""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.store.database.schema import deferred

MAX_READ: Final = 100
"""At most this many recordings are read in one transaction."""

_OBSERVATIONS: Final = msgspec.json.Decoder(tuple[Observation, ...])


class DeferredRecording(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that waits since a time (seconds since the epoch), and its observations."""

    recording_id: str
    since: float
    observations: tuple[Observation, ...]


def defer(connection: sa.Connection, observations: Iterable[Observation]) -> None:
    """Keep observations of recordings that wait. Those that show no other status are left out."""
    for observation in sorted(observations, key=_recording_id):  # replicas lock in one order
        recording_id = _recording_id(observation)
        is_it = deferred.c.recording_id == recording_id
        kept = connection.execute(
            sa.select(deferred.c.observations).where(is_it).with_for_update()
        ).scalar()
        before = _OBSERVATIONS.decode(kept) if kept else ()
        if before and before[-1].snapshot.status is observation.snapshot.status:
            continue
        after = msgspec.json.encode((*before, observation)).decode()
        if before:
            connection.execute(sa.update(deferred).where(is_it).values(observations=after))
            continue
        # Two replicas may insert at the same time. Then the second transaction is run again.
        connection.execute(
            sa.insert(deferred).values(
                recording_id=recording_id,
                app=observation.app,
                deferred_at=observation.observed_at.timestamp(),
                observations=after,
            )
        )


def _recording_id(observation: Observation) -> str:
    return observation.snapshot.recording_id


def read_deferred(connection: sa.Connection, app: str, after: str) -> list[DeferredRecording]:
    """The app's recordings that wait, locked until the transaction ends. At most 100, the first
    ones whose id is behind `after`."""
    rows = connection.execute(
        sa.select(deferred.c.recording_id, deferred.c.deferred_at, deferred.c.observations)
        .where(deferred.c.app == app, deferred.c.recording_id > after)
        .order_by(deferred.c.recording_id)
        .limit(MAX_READ)
        .with_for_update()
    )
    return [
        DeferredRecording(
            recording_id=recording_id, since=since, observations=_OBSERVATIONS.decode(observations)
        )
        for recording_id, since, observations in rows
    ]


def take_deferred(
    connection: sa.Connection, recording_ids: Collection[str]
) -> dict[str, tuple[Observation, ...]]:
    """The observations of the recordings among these that wait, which are adopted now."""
    if not recording_ids:
        return {}
    rows = connection.execute(
        sa.select(deferred.c.recording_id, deferred.c.observations)
        .where(deferred.c.recording_id.in_(recording_ids))
        .with_for_update()
    )
    taken = {
        recording_id: _OBSERVATIONS.decode(observations) for recording_id, observations in rows
    }
    if taken:
        connection.execute(sa.delete(deferred).where(deferred.c.recording_id.in_(taken)))
    return taken
