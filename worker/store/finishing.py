"""How commands end: state, events and outcomes together."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import sqlalchemy as sa
import structlog

from worker.domain.event_envelopes import OutcomeRecord
from worker.domain.recording import Observation
from worker.store.database.bulk import BulkStatement
from worker.store.database.dialects import among, open_or_closed
from worker.store.database.schema import inbox, recordings
from worker.store.outbox import Reply, add_rows, outcome_rows, resend_outcomes
from worker.store.recordings import ApplyResult, apply_observations


class FinishRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a command: its outcome, and what the API told on the way."""

    outcome: OutcomeRecord
    reply: Reply
    observations: tuple[Observation, ...]
    now: float


def finish(
    connection: sa.Connection, requests: Sequence[FinishRequest], *, source: str
) -> list[ApplyResult]:
    """Operation: state, events and outcomes of finished commands, all or nothing.

    The first end of a command counts. Who comes later, having lost the command or the answer to
    its own commit, has that outcome sent again, and what it saw absorbed.
    """
    seen = one_recording_per_start(connection, [request.observations for request in requests])
    absorbed = apply_observations(connection, seen, source=source)
    stored = _outcomes(connection, {request.outcome.command_id for request in requests})
    first: list[FinishRequest] = []
    late: list[tuple[str, Reply, float]] = []
    for request in requests:
        command_id = request.outcome.command_id
        if (before := stored[command_id]) is not None:
            late.append((before, request.reply, request.now))
        else:
            stored[command_id] = msgspec.json.encode(request.outcome).decode()
            first.append(request)
    if first:
        _end(connection, [_ended(request, stored) for request in first])
        rows = (outcome_rows(one.outcome, one.reply, now=one.now) for one in first)
        add_rows(connection, list(chain.from_iterable(rows)))
    resend_outcomes(connection, late)
    return absorbed


_end: Final = BulkStatement(
    [inbox.c.command_id, inbox.c.outcome, inbox.c.finished_at],
    lambda _, given: (
        sa.update(inbox)
        .where(inbox.c.command_id == given["command_id"])
        .values(
            state=sa.literal_column("'done'"),
            outcome=given["outcome"],
            finished_at=given["finished_at"],
            holds=sa.null(),
            lease_owner=sa.null(),
            lease_until=sa.null(),
        )
    ),
)


def _ended(request: FinishRequest, stored: Mapping[str, str | None]) -> dict[str, Any]:
    command_id = request.outcome.command_id
    return {
        "command_id": command_id,
        "outcome": stored[command_id],
        "finished_at": request.now,
    }


def _outcomes(connection: sa.Connection, ids: Iterable[str]) -> dict[str, str | None]:
    """How these commands ended; None for one that has not."""
    found = connection.execute(_OUTCOMES, {"ids": ids})
    return dict(found.all())


_OUTCOMES: Final = (
    sa.select(inbox.c.command_id, inbox.c.outcome)
    .where(among(inbox.c.command_id, "ids"))
    .order_by(inbox.c.command_id)
    .with_for_update()
)


def one_recording_per_start(
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
        "second_recording_found", start_id=start_id, recording_id=recording_id, first=first
    )
    return msgspec.structs.replace(seen, start=None)
