"""The inbox: which commands are being executed, by whom, and how they ended.

A claim is durable before the API is called, so that after a crash the next one knows that a call
may have gone out. A start also occupies its slot (meeting and kind): while one start of a slot is
running, or may have been executed without us knowing, no other one is let in. That is what makes
a recording found later in the list attributable to exactly one command.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa

from worker.domain.recording import LIVE, Recording
from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, meeting_key, open_or_closed, unindexed
from worker.store.database.schema import UNFINISHED, inbox, recordings
from worker.store.outbox import Reply, resend_outcomes

Verdict = Literal["new", "again", "busy", "done"]


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to execute a command now.

    `app` is the one it means, None when there is no such. `slot` is given by starts; `rival_slots`,
    the slots of the starts it has to wait for, by a command for a whole meeting. `start_id`,
    `meeting_id`, `recording_id` name what the command acts on, so that the claim can tell what is
    known of it. A start whose call is older than `abandoned_before` no longer keeps others out;
    after `settle_seconds` a call whose answer was lost may be made again. `first_seen` is when the
    command was first put off, if that was before its first claim. `finish_only`: it will not call
    any more, so it need not wait for its slot. `alone`: no other suspect is executed beside it, so
    that a crash is its own.
    """

    command_id: str
    command_type: str
    owner: str
    now: float
    lease_seconds: float
    settle_seconds: float
    abandoned_before: float
    app: str | None = None
    slot: str | None = None
    rival_slots: tuple[str, ...] = ()
    first_seen: float | None = None
    finish_only: bool = False
    alone: bool = False
    start_id: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    reply: Reply = Reply()


class ClaimResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim came to.

    `new`/`again`: execute it (`again`: it was claimed before). `busy`: another replica executes
    it, or its slot is taken. `done`: its outcome goes out once more. `called_at` is the first
    moment at which an earlier attempt may have called the API and got no answer, else None;
    `may_call` says whether a start may call now. `known_recordings` are those the command may mean,
    `start_state` the state of the start command it names (None: unknown). `crashes` counts the
    last attempts in a row, made alone, that ended the process before they were over.
    """

    verdict: Verdict
    attempts: int = 0
    first_seen_at: float = 0.0
    called_at: float | None = None
    may_call: bool = False
    known_recordings: tuple[Recording, ...] = ()
    start_state: str | None = None
    pending_starts: int = 0
    crashes: int = 0
    last_error: str | None = None


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that did not end the command. `uncertain`: its call may have been executed, or one
    before it; `called_until` is the last moment at which this attempt may have called, if it did.

    Nothing happens when the command is no longer `owner`'s: another replica has taken it over, and
    what may have been called since is not for this one to say. None stands for whoever holds it.
    """

    command_id: str
    uncertain: bool
    last_error: str
    owner: str | None = None
    called_until: float | None = None


def claim(connection: sa.Connection, requests: Sequence[ClaimRequest]) -> list[ClaimResult]:
    """Operation: claim commands, each at most once in the given order."""
    rows = _rows(connection, {request.command_id for request in requests})
    held = _held(connection, {request.slot for request in requests if request.slot})
    new: list[dict[str, Any]] = []
    claimed: list[ClaimResult] = []
    repeats: list[tuple[str, Reply, float]] = []
    for request in requests:
        row = rows.get(request.command_id)
        if row is not None and row["state"] == "done":
            repeats.append((row["outcome"], request.reply, request.now))
            claimed.append(_done(row))
            continue
        if (
            _is_leased(row, request)
            or _is_another_in_doubt(row, request)
            or (_is_slot_taken(connection, held, request) and not _only_ends(row, request))
        ):
            claimed.append(ClaimResult(verdict="busy", first_seen_at=request.now))
            continue
        after = _claimed_row(row, request)
        if row is None:
            new.append(after)
        else:
            _update(connection, after)
        if after["holds"]:
            held[after["holds"]] = after
        rows[request.command_id] = after
        claimed.append(_granted(connection, row, after, request))
    _insert(connection, new)
    resend_outcomes(connection, repeats)
    return claimed


_insert: Final = bulk_insert(inbox)


def release(connection: sa.Connection, requests: Sequence[ReleaseRequest]) -> list[None]:
    """Operation: give commands back for a later attempt."""
    for request in requests:
        mine = [inbox.c.command_id == request.command_id, inbox.c.state == "running"]
        if request.owner is not None:
            mine.append(inbox.c.lease_owner == request.owner)
        values: dict[str, Any] = {
            "state": "waiting",
            "crashes": 0,
            "lease_owner": None,
            "lease_until": None,
            "last_error": request.last_error,
        }
        if not request.uncertain:
            values |= {"holds": None, "called_at": None, "last_called_at": None}
        elif request.called_until is not None:
            values["last_called_at"] = request.called_until
        connection.execute(sa.update(inbox).where(*mine).values(values))
    return [None] * len(requests)


def free_leases(connection: sa.Connection, owners: Sequence[None]) -> list[int]:
    """Operation: end every lease. Only for a store that no other process can be using."""
    freed = connection.execute(
        sa.update(inbox).where(UNFINISHED, inbox.c.lease_owner.is_not(None)).values(lease_until=0.0)
    )
    return [freed.rowcount] * len(owners)


def _rows(connection: sa.Connection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    found = connection.execute(_BY_ID, {"ids": ids}).mappings().all()
    return {row["command_id"]: dict(row) for row in found}


def _held(connection: sa.Connection, slots: Collection[str]) -> dict[str, dict[str, Any]]:
    if not slots:
        return {}
    found = connection.execute(_HOLDING, {"slots": slots}).mappings().all()
    return {row["holds"]: dict(row) for row in found}


_BY_ID: Final = (
    sa.select(inbox)
    .where(among(inbox.c.command_id, "ids"))
    .order_by(inbox.c.command_id)
    .with_for_update()
)
_HOLDING: Final = sa.select(inbox).where(among(inbox.c.holds, "slots"))


def _is_leased(row: dict[str, Any] | None, request: ClaimRequest) -> bool:
    return (
        row is not None
        and row["state"] == "running"
        and row["lease_owner"] != request.owner
        and (row["lease_until"] or 0.0) > request.now
    )


def _is_another_in_doubt(row: dict[str, Any] | None, request: ClaimRequest) -> bool:
    """A start that may have been executed owns its id: nothing else may end it, or start again."""
    return (
        row is not None
        and row["called_at"] is not None
        and row["slot"] != request.slot
        and row["first_seen_at"] >= request.abandoned_before
    )


def _is_slot_taken(
    connection: sa.Connection, held: dict[str, dict[str, Any]], request: ClaimRequest
) -> bool:
    holder = held.get(request.slot) if request.slot else None
    if holder is None or holder["command_id"] == request.command_id:
        return False
    if holder["first_seen_at"] >= request.abandoned_before:
        return True
    # Its command is past its age: it can never be attempted again, whatever became of its call.
    connection.execute(
        sa.update(inbox).where(inbox.c.command_id == holder["command_id"]).values(holds=None)
    )
    return False


def _claimed_row(row: dict[str, Any] | None, request: ClaimRequest) -> dict[str, Any]:
    before = row or {
        "attempts": 0,
        "crashes": 0,
        "state": "new",
        "first_seen_at": request.now,
        "called_at": None,
    }
    slot = None if _only_ends(row, request) else request.slot
    after = {
        "command_id": request.command_id,
        "command_type": request.command_type,
        "state": "running",
        "attempts": before["attempts"] + 1,
        "crashes": before["crashes"] + _crashed(before, request),
        "alone": request.alone,
        "first_seen_at": min(before["first_seen_at"], request.first_seen or request.now),
        "slot": slot,
        "holds": slot,
        "called_at": None,
        "last_called_at": None,
        "lease_owner": request.owner,
        "lease_until": request.now + request.lease_seconds,
        "last_error": before.get("last_error"),
        "outcome": None,
        "finished_at": None,
    }
    if slot:
        called = before["called_at"]
        after["called_at"] = request.now if called is None else called
        after["last_called_at"] = (
            request.now if _may_call(before, request) else _last_called(before, request)
        )
    return after


def _only_ends(row: dict[str, Any] | None, request: ClaimRequest) -> bool:
    """A start that surely never called and never will: it takes no slot, and waits for none."""
    return request.finish_only and (row is None or row["called_at"] is None)


def _crashed(before: dict[str, Any], request: ClaimRequest) -> bool:
    """Whether the last attempt ended with its process, and nobody else can be to blame for it.

    A commit that failed leaves it running as well, under the same owner.
    """
    ended = before["state"] == "running" and before["lease_owner"] != request.owner
    return bool(ended and before["alone"])


def _may_call(before: dict[str, Any], request: ClaimRequest) -> bool:
    if before["called_at"] is None:
        return True
    return request.now - _last_called(before, request) >= request.settle_seconds


def _last_called(before: dict[str, Any], request: ClaimRequest) -> float:
    """Until when a call may have gone out. An attempt that nobody ended, because its process died,
    may have called until just now, or for as long as its lease let it."""
    noted: float = before["last_called_at"]
    if before["state"] != "running":
        return noted
    return max(noted, min(request.now, before["lease_until"] or request.now))


def _update(connection: sa.Connection, after: dict[str, Any]) -> None:
    connection.execute(
        sa.update(inbox).where(inbox.c.command_id == after["command_id"]).values(after)
    )


def _granted(
    connection: sa.Connection,
    row: dict[str, Any] | None,
    after: dict[str, Any],
    request: ClaimRequest,
) -> ClaimResult:
    # Before the recordings: another replica may end the start in between, and a start that is over
    # without a recording to be seen would mean that there is none.
    start_state = _start_state(connection, request)
    starts_pending = _starts_pending(connection, request)
    return ClaimResult(
        verdict="new" if row is None else "again",
        attempts=after["attempts"],
        first_seen_at=after["first_seen_at"],
        called_at=row["called_at"] if row else None,
        may_call=not _only_ends(row, request) and (row is None or _may_call(row, request)),
        known_recordings=_known(connection, row, request),
        start_state=start_state,
        pending_starts=starts_pending,
        crashes=after["crashes"],
        last_error=after["last_error"],
    )


def _known(
    connection: sa.Connection, row: dict[str, Any] | None, request: ClaimRequest
) -> tuple[Recording, ...]:
    """The recordings a command may mean. A start claimed for the first time means none."""
    if request.slot and row is None:
        return ()
    if request.start_id:
        wanted = open_or_closed(recordings.c.start_id == request.start_id)
    elif request.recording_id:
        wanted = open_or_closed(recordings.c.recording_id == request.recording_id)
    elif request.slot:
        wanted = open_or_closed(_of_meeting(request))
    elif request.meeting_id:
        live = unindexed(recordings.c.status).in_(sorted(LIVE))
        wanted = sa.and_(recordings.c.open, _of_meeting(request), live)
    else:
        return ()
    states = connection.execute(sa.select(recordings.c.state).where(wanted)).scalars()
    return tuple(msgspec.json.decode(state, type=Recording) for state in states)


def _of_meeting(request: ClaimRequest) -> sa.ColumnElement[bool]:
    """Meetings of two apps are two, whatever their ids."""
    return sa.and_(
        recordings.c.meeting_id == meeting_key(request.meeting_id),
        unindexed(recordings.c.app) == request.app,
    )


def _start_state(connection: sa.Connection, request: ClaimRequest) -> str | None:
    if request.start_id is None:
        return None
    row = connection.execute(
        sa.select(inbox.c.state).where(inbox.c.command_id == request.start_id)
    ).one_or_none()
    return row[0] if row else None


def _starts_pending(connection: sa.Connection, request: ClaimRequest) -> int:
    if not request.rival_slots:
        return 0
    return connection.execute(
        sa.select(sa.func.count()).where(
            inbox.c.slot.in_(request.rival_slots),
            UNFINISHED,
            inbox.c.first_seen_at >= request.abandoned_before,
        )
    ).scalar_one()


def _done(row: dict[str, Any]) -> ClaimResult:
    return ClaimResult(verdict="done", attempts=row["attempts"], first_seen_at=row["first_seen_at"])
