"""One start, one recording, whatever two replicas believe."""

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from worker.domain.recording import Observation
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import inbox, recordings


def of_one_recording(
    connection: sa.Connection, requests: Sequence[Sequence[Observation]]
) -> list[tuple[Observation, ...]]:
    """The sights, in which no start has a recording besides its first one.

    There should never be a second one. Should there be, it is followed and told of like one that
    somebody else started, and the log says so.
    """
    starts = {one.start.start_id for seen in requests for one in seen if one.start}
    owners = _owners(connection, starts) if starts else {}
    return [tuple(_owned(owners, one) for one in seen) for seen in requests]


def _owners(connection: sa.Connection, start_ids: set[str]) -> dict[str, str]:
    """The recording of each start that has one. It was written with the start's end, and in a long
    history costs a page to look for, so that is done for those that ended before."""
    ended = connection.execute(_ENDED, {"starts": start_ids}).scalars().all()
    return dict(connection.execute(_OWNERS, {"starts": ended}).all()) if ended else {}


_ENDED: Final = sa.select(inbox.c.command_id).where(
    among(inbox.c.command_id, "starts"), inbox.c.state == "done"
)
_OWNERS: Final = sa.select(recordings.c.start_id, recordings.c.recording_id).where(
    open_or_closed(among(recordings.c.start_id, "starts"))
)


def _owned(owners: dict[str, str], seen: Observation) -> Observation:
    if seen.start is None:
        return seen
    start_id, recording_id = seen.start.start_id, seen.snapshot.recording_id
    first = owners.setdefault(start_id, recording_id)
    if first == recording_id:
        return seen
    structlog.get_logger().error(
        "second_recording_of_a_start", start_id=start_id, recording_id=recording_id, first=first
    )
    return msgspec.structs.replace(seen, start=None)
