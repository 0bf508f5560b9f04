"""What goes on now: live recordings, waiting commands, budgets, replicas, the outbox.

Every query reads an index that has nothing of history, or a bounded number of rows.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.budget.ledger import Ledger
from worker.budget.priorities import Tier, quota_left
from worker.domain.recording import LIVE, Recording
from worker.store.database.schema import (
    UNFINISHED,
    budgets,
    inbox,
    leases,
    parked,
    recordings,
)
from worker.store.leader import LEASE_NAME
from worker.store.outbox import OutboxDepth, measure_depth

MAX_COUNTED: Final = 10_000
"""Counts of what waits stop here."""

MAX_SHOWN: Final = 10

_LEDGER: Final = msgspec.json.Decoder(Ledger)


class LiveCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many recordings of an app have a live status. `oldest_at` is when the one that has been
    unchanged for the longest time last changed, in seconds since the epoch."""

    app: str
    status: Status
    recordings: int
    oldest_at: float | None


class WaitingCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many commands wait in the state for the same thing, and since when the oldest does."""

    waits_for: str
    commands: int
    oldest_at: float | None
    next_due_at: float | None


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A recording that the worker stops at `stop_at`, because its start limits its duration."""

    recording_id: str
    app: str
    meeting_id: str | None
    stop_at: float


class BudgetWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window of a budget: at most `requests` in any `seconds`.

    `for_commands` and `for_reads` are how many more requests of commands, and of reads and sweeps,
    fit into it now.
    """

    requests: int
    seconds: float
    spent: int
    for_commands: int
    for_reads: int


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """The budget that replicas share for one API token. `paused_until` is set while the API has
    asked for a pause."""

    name: str
    windows: tuple[BudgetWindow, ...]
    paused_until: float | None


class ReplicaLease(msgspec.Struct, frozen=True, kw_only=True):
    """A replica that is alive until `until`, as far as the state shows."""

    owner: str
    until: float
    leads: bool


class LiveNow(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on at `at`. Times are seconds since the epoch.

    `running` are commands that a replica executes now or that wait for a retry. `last_webhook_at`
    is about the recordings that changed last.
    """

    at: float
    live: tuple[LiveCount, ...]
    waiting: tuple[WaitingCount, ...]
    unfinished: int
    timers: tuple[Timer, ...]
    budgets: tuple[BudgetState, ...]
    replicas: tuple[ReplicaLease, ...]
    outbox: OutboxDepth
    last_change_at: float | None
    last_webhook_at: float | None


def read_now(connection: sa.Connection, now: float) -> LiveNow:
    """What goes on at this time."""
    live = _live(connection)
    last_change_at, last_webhook_at = _last_changes(connection)
    return LiveNow(
        at=now,
        live=live,
        waiting=_waiting(connection),
        unfinished=_bounded_count(connection, sa.select(inbox.c.slot).where(UNFINISHED)),
        timers=_timers(connection, sorted({count.app for count in live})),
        budgets=_budgets(connection, now),
        replicas=_replicas(connection, now),
        outbox=measure_depth(connection, [None])[0],
        last_change_at=last_change_at,
        last_webhook_at=last_webhook_at,
    )


def _live(connection: sa.Connection) -> tuple[LiveCount, ...]:
    rows = connection.execute(
        sa.select(recordings.c.app, recordings.c.status, sa.func.count())
        .where(recordings.c.open)
        .group_by(recordings.c.app, recordings.c.status)  # as in the index of open recordings
    )
    counts = [(app, Status(status), number) for app, status, number in rows]
    oldest = {status: _oldest(connection, status) for status in {status for _, status, _ in counts}}
    return tuple(
        LiveCount(app=app, status=status, recordings=number, oldest_at=oldest[status])
        for app, status, number in sorted(counts)
    )


def _oldest(connection: sa.Connection, status: Status) -> float | None:
    if status not in LIVE:  # its files are awaited; the index of the status has all of history
        return None
    found = sa.select(sa.func.min(recordings.c.changed_at)).where(recordings.c.status == status)
    oldest: float | None = connection.execute(found).scalar()
    return oldest


def _waiting(connection: sa.Connection) -> tuple[WaitingCount, ...]:
    rows = connection.execute(
        sa.select(
            parked.c.waits_for,
            sa.func.count(),
            sa.func.min(parked.c.parked_at),
            sa.func.min(parked.c.due_at),
        )
        .where(parked.c.number == 0)
        .group_by(parked.c.waits_for)
    )
    return tuple(
        WaitingCount(waits_for=what, commands=number, oldest_at=oldest, next_due_at=due)
        for what, number, oldest, due in rows
    )


def _timers(connection: sa.Connection, apps: Sequence[str]) -> tuple[Timer, ...]:
    found = [
        Timer(
            recording_id=recording.recording_id,
            app=recording.app,
            meeting_id=recording.meeting_id,
            stop_at=stop_at,
        )
        for app in apps
        for state, stop_at in connection.execute(_NEXT_STOPS, {"app": app})
        for recording in (msgspec.json.decode(state, type=Recording),)
    ]
    return tuple(sorted(found, key=lambda timer: timer.stop_at)[:MAX_SHOWN])


_NEXT_STOPS: Final = (
    sa.select(recordings.c.state, recordings.c.stop_at)
    .where(recordings.c.app == sa.bindparam("app"), recordings.c.stop_at.is_not(None))
    .order_by(recordings.c.stop_at)
    .limit(MAX_SHOWN)
)


def _budgets(connection: sa.Connection, now: float) -> tuple[BudgetState, ...]:
    rows = connection.execute(sa.select(budgets.c.name, budgets.c.state).order_by(budgets.c.name))
    return tuple(_budget(name, _LEDGER.decode(state), now) for name, state in rows)


def _budget(name: str, ledger: Ledger, now: float) -> BudgetState:
    windows = []
    for window in (known.advance(now) for known in ledger.windows):
        spent, background = window.spent()
        quota = window.rate.requests
        windows.append(
            BudgetWindow(
                requests=quota,
                seconds=window.rate.seconds,
                spent=spent,
                for_commands=max(0, quota_left(quota, spent, background, Tier.COMMAND)),
                for_reads=max(0, quota_left(quota, spent, background, Tier.BACKGROUND)),
            )
        )
    windows.sort(key=lambda window: -window.seconds)
    paused_until = ledger.paused_until if ledger.paused_until > now else None
    return BudgetState(name=name, windows=tuple(windows), paused_until=paused_until)


def _replicas(connection: sa.Connection, now: float) -> tuple[ReplicaLease, ...]:
    rows = connection.execute(sa.select(leases.c.name, leases.c.owner, leases.c.until))
    alive = [(name, owner, until) for name, owner, until in rows if until > now]
    leaders = {owner for name, owner, _ in alive if name == LEASE_NAME}
    latest: dict[str, float] = {}
    for _, owner, until in alive:
        latest[owner] = max(until, latest.get(owner, 0.0))
    return tuple(
        ReplicaLease(owner=owner, until=until, leads=owner in leaders)
        for owner, until in sorted(latest.items())
    )


def _bounded_count(connection: sa.Connection, rows: sa.Select[tuple[str]]) -> int:
    bounded = rows.limit(MAX_COUNTED).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(bounded)).scalar_one()


def _last_changes(connection: sa.Connection) -> tuple[float | None, float | None]:
    latest = connection.execute(_LATEST).all()
    heard = [row.told_at for row in latest if row.told_at is not None]
    return (latest[0].changed_at if latest else None), max(heard, default=None)


_LATEST: Final = (
    sa.select(recordings.c.changed_at, recordings.c.told_at)
    .order_by(recordings.c.changed_at.desc())
    .limit(100)
)
