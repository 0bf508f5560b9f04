"""Recordings that a command acted on, and that an unfinished start may have begun.

Only that start may adopt such a recording, with its `start_id` and `metadata`. If it does not, the
worker adopts the recording when the start has ended (`late_adoption`). Until then, a table keeps
the observations of the commands.
"""

from collections.abc import Collection, Iterable
from functools import reduce
from itertools import groupby
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
    """Keep observations of recordings that wait. Those that show no other status are left out.

    Two replicas may insert a recording at the same time. Then the second transaction is run again.
    """
    new = {
        recording_id: tuple(group)
        for recording_id, group in groupby(sorted(observations, key=_recording_id), _recording_id)
    }
    kept = _lock_deferred(connection, new)
    inserted, updated = [], []
    for recording_id, group in new.items():
        before = kept.get(recording_id, ())
        after = reduce(_with, group, before)
        if len(after) == len(before):
            continue
        encoded = msgspec.json.encode(after).decode()
        if before:
            updated.append({"of_id": recording_id, "observations": encoded})
            continue
        inserted.append(
            {
                "recording_id": recording_id,
                "app": group[0].app,
                "deferred_at": group[0].observed_at.timestamp(),
                "observations": encoded,
            }
        )
    if inserted:
        connection.execute(sa.insert(deferred), inserted)
    if updated:
        connection.execute(_UPDATE, updated)


_UPDATE: Final = (
    sa.update(deferred)
    .where(deferred.c.recording_id == sa.bindparam("of_id"))
    .values(observations=sa.bindparam("observations"))
)


def _with(before: tuple[Observation, ...], later: Observation) -> tuple[Observation, ...]:
    """The observations and a later one, unless it shows the same status as the last of them."""
    is_same = before and before[-1].snapshot.status is later.snapshot.status
    return before if is_same else (*before, later)


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
    taken = _lock_deferred(connection, recording_ids)
    if taken:
        connection.execute(sa.delete(deferred).where(deferred.c.recording_id.in_(taken)))
    return taken


def _lock_deferred(
    connection: sa.Connection, recording_ids: Collection[str]
) -> dict[str, tuple[Observation, ...]]:
    """The observations of the recordings among these that wait, locked in one order."""
    rows = connection.execute(
        sa.select(deferred.c.recording_id, deferred.c.observations)
        .where(deferred.c.recording_id.in_(recording_ids))
        .order_by(deferred.c.recording_id)
        .with_for_update()
    )
    return {recording_id: _OBSERVATIONS.decode(observations) for recording_id, observations in rows}
