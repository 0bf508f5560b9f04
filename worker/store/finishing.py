"""How commands end: state, events and outcomes together."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from worker.store.database.bulk import ManyRows
from worker.store.database.dialects import among
from worker.store.database.schema import inbox
from worker.store.origins import of_one_recording
from worker.store.outbox import Reply, outcome_rows, put, send_again
from worker.store.recordings import ApplyResult, apply_all
from worker.store.requests import Finish


def finish(
    connection: sa.Connection, requests: Sequence[Finish], *, source: str
) -> list[ApplyResult]:
    """Operation: state, events and outcomes of finished commands, all or nothing.

    The first end of a command counts. Who comes later, having lost the command or the answer to
    its own commit, has that outcome sent again, and what it saw absorbed.
    """
    seen = of_one_recording(connection, [request.seen for request in requests])
    absorbed = apply_all(connection, seen, source=source)
    stored = _outcomes(connection, {request.outcome.command_id for request in requests})
    first: list[Finish] = []
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
        put(connection, list(chain.from_iterable(rows)))
    send_again(connection, late)
    return absorbed


_end: Final = ManyRows(
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


def _ended(request: Finish, stored: Mapping[str, str | None]) -> dict[str, Any]:
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
