"""Parked commands: they wait in the store, and not in the queue, for a session or a start.

`database/schema.py` shows the states of a parked command. A row is removed only together with the
commit that ends its command, after the broker confirmed its message, or by the claim of that
message. So a command is never only in memory.
"""

from collections.abc import Collection
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, meeting_key
from worker.store.database.direct import DirectStatement
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import inbox, parked
from worker.store.outbox import Reply

WaitsFor = Literal["session", "start"]

MAX_REPEATS: Final = 100
"""At most this many repeats of one parked command are stored. Others stay in the retry queues."""

NOW: Final = 0.0
"""The `due_at` of a command that is due at once."""


class KeptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The message of a parked command. `envelope` is JSON: its properties, headers, routing key."""

    body: bytes
    envelope: str


class ParkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that found nothing to act on yet. Times are seconds since the epoch.

    `subject` is the meeting or the start that the command waits for. It is attempted again at
    `due_at` in any case. Lists of live sessions that were requested before `ignore_lists_until` do
    not count. `message` is None if it has secrets: then the retry queues keep it.
    """

    command_id: str
    owner: str
    waits_for: WaitsFor
    app: str
    subject: str
    now: float
    due_at: float
    ignore_lists_until: float
    message: KeptMessage | None
    last_error: str
    reply: Reply


class RepeatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A repeat of a parked command, with its own reply to the outcome."""

    command_id: str
    message: KeptMessage


def park(connection: sa.Connection, request: ParkRequest) -> bool:
    """Return a claimed command and park it.

    False, and not parked, if this replica no longer has the command, or if a stop has cancelled it
    meanwhile.
    """
    is_of_other = request.waits_for == "start" and request.subject != request.command_id
    started = is_of_other and _has_arrived(connection, request.subject)
    parked_row = connection.execute(
        sa.update(inbox)
        .where(
            inbox.c.command_id == request.command_id,
            inbox.c.state == "running",
            inbox.c.lease_owner == request.owner,
            inbox.c.cancelled_by.is_(None),
        )
        .values(
            state="waiting",
            crashes=0,
            holds=None,
            called_at=None,
            last_called_at=None,
            people=None,
            lease_owner=None,
            lease_until=None,
            last_error=request.last_error,
            reply=msgspec.json.encode(request.reply).decode(),
            waits_since=sa.func.coalesce(inbox.c.waits_since, request.now),
            woken_at=None,
        )
        .returning(inbox.c.waits_since)
    ).first()
    if parked_row is None:
        return False
    row = _row(request, parked_at=parked_row[0], due_at=NOW if started else request.due_at)
    _insert(connection, [row])
    if started:
        notify_on_commit(connection, "parked")
    return True


def _has_arrived(connection: sa.Connection, start_id: str) -> bool:
    """Whether the start has arrived. Locks its row, so that it cannot arrive unnoticed before
    the commit."""
    attempts = sa.select(inbox.c.attempts).where(inbox.c.command_id == start_id).with_for_update()
    return bool(connection.execute(attempts).scalar())


def _row(request: ParkRequest, *, parked_at: float, due_at: float) -> dict[str, Any]:
    return {
        "command_id": request.command_id,
        "number": 0,
        "waits_for": request.waits_for,
        "app": request.app,
        "subject": request.subject,
        "parked_at": parked_at,
        "due_at": due_at,
        "ignore_lists_until": request.ignore_lists_until,
        "body": request.message.body if request.message else None,
        "message": request.message.envelope if request.message else None,
    }


_insert: Final = bulk_insert(
    parked,
    "command_id",
    "number",
    "waits_for",
    "app",
    "subject",
    "parked_at",
    "due_at",
    "ignore_lists_until",
    "body",
    "message",
)


def park_repeat(connection: sa.Connection, request: RepeatRequest) -> bool:
    """Store a repeat of a parked command. False if it is not parked, or has too many repeats."""
    of_command = parked.c.command_id == request.command_id
    columns = [parked.c[name] for name in ("waits_for", "app", "subject", "parked_at", "due_at")]
    command = connection.execute(
        sa.select(*columns).where(of_command, parked.c.number == 0).with_for_update()
    ).first()
    last = connection.execute(sa.select(sa.func.max(parked.c.number)).where(of_command)).scalar()
    if command is None or (last or 0) >= MAX_REPEATS:
        return False
    row = dict(command._mapping) | {  # noqa: SLF001 - the public name of the row's mapping
        "command_id": request.command_id,
        "number": (last or 0) + 1,
        "ignore_lists_until": 0.0,
        "body": request.message.body,
        "message": request.message.envelope,
    }
    _insert(connection, [row])
    return True


# Events that make commands due


class LiveSessions(msgspec.Struct, frozen=True, kw_only=True):
    """Live sessions of an app, by the ids of their meetings.

    `asked_at` is when their list was requested, in seconds since the epoch. None: a webhook
    reported that they began.
    """

    app: str
    meeting_ids: Collection[str]
    asked_at: float | None = None


def make_starts_due(connection: sa.Connection, request: LiveSessions) -> int:
    """Make the starts due that wait for these sessions; returns how many rows."""
    latest = float("inf") if request.asked_at is None else request.asked_at
    waiting = sa.and_(
        parked.c.waits_for == "session",
        parked.c.app == request.app,
        among(parked.c.subject, "meetings"),
        parked.c.ignore_lists_until <= latest,
    )
    return _make_due(connection, waiting, {"meetings": set(map(meeting_key, request.meeting_ids))})


def make_due_after_starts(connection: sa.Connection, start_ids: Collection[str]) -> None:
    """Make the commands due that wait for these starts, because the starts have ended."""
    waiting = sa.and_(parked.c.waits_for == "start", among(parked.c.subject, "starts"))
    _make_due(connection, waiting, {"starts": start_ids})


def _make_due(
    connection: sa.Connection, waiting: sa.ColumnElement[bool], values: dict[str, Any]
) -> int:
    change = sa.update(parked).where(waiting, parked.c.due_at > NOW).values(due_at=NOW)
    count = connection.execute(change, values).rowcount
    if count:
        notify_on_commit(connection, "parked")
    return count


def awaits_session(connection: sa.Connection, app: str, now: float) -> bool:
    """Whether a start of the app waits for a session."""
    return bool(_AWAITED.rows(connection, {"app": app, "now": now}))


_AWAITED: Final = DirectStatement(
    sa.select(sa.literal_column("1"))
    .where(
        parked.c.waits_for == "session",
        parked.c.app == sa.bindparam("app"),
        parked.c.due_at > sa.bindparam("now"),
    )
    .limit(1)
)
