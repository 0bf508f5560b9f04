"""Reads the state of all workers from the database: for `status` and the console.

Every query uses an index without history. Workers may run meanwhile.
"""

import time
from collections.abc import Iterator
from typing import Final

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.budget.ledger import Ledger
from worker.budget.priorities import Tier
from worker.domain.recording import LIVE
from worker.store.archive_reading import ArchiveDepth
from worker.store.archive_reading import measure as measure_archive
from worker.store.cursors import missed_webhook_cursor, sweep_cursor, webhook_cursor
from worker.store.database.schema import budgets, leases, named_times, recordings
from worker.store.due_commands import ParkedCount, count_parked
from worker.store.leases import LEADER
from worker.store.parking import WaitsFor
from worker.store.queries import Staleness, measure_staleness
from worker.store.unsent_events import OutboxDepth, measure_depth

FORGOTTEN_AFTER_SECONDS: Final = 86_400.0
"""If an app was swept this much earlier than another one, it is no longer configured."""

_LEDGER: Final = msgspec.json.Decoder(Ledger)


class Leader(msgspec.Struct, frozen=True, kw_only=True):
    """The replica that relays and sweeps, and until when it holds the lease."""

    owner: str
    until: float


class OpenCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many recordings of an app have a status. `live` is False while only files, or the
    participants of a failed recording, are awaited."""

    app: str
    status: Status
    live: bool
    count: int


class BudgetWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of `requests` in `seconds`. `left` may still be sent, `background` of those spent
    were of sweeps and reads."""

    requests: int
    seconds: float
    spent: int
    background: int
    left: int


class BudgetUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The API request budget of one account.

    Before `paused_until` only stops may be sent, before `stops_paused_until` no request at all.
    """

    account: str
    paused_until: float
    stops_paused_until: float
    windows: tuple[BudgetWindow, ...]


class SweepInfo(msgspec.Struct, frozen=True, kw_only=True):
    """When an app's last sweep completed, and how webhooks cover its changes.

    `webhook_at` is the last sweep before which webhooks reported something, `missed_webhook_at` the
    last change that no webhook reported. None: never.
    """

    app: str
    swept_at: float
    webhook_at: float | None
    missed_webhook_at: float | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The state of all replicas at `at`. All times are seconds since the epoch.

    `leader` is None if no replica holds the lease. `replicas` counts those that held or requested
    it lately.
    """

    at: float
    leader: Leader | None
    replicas: int
    recordings: tuple[OpenCount, ...]
    staleness: Staleness
    outbox: OutboxDepth
    parked: dict[WaitsFor, ParkedCount]
    budgets: tuple[BudgetUsage, ...]
    sweeps: tuple[SweepInfo, ...]
    archive: ArchiveDepth


def read_overview(connection: sa.Connection) -> Overview:
    """The overview by an open connection, which may be read-only."""
    now = _now(connection)
    leader, replicas = _replicas(connection, now)
    return Overview(
        at=now,
        leader=leader,
        replicas=replicas,
        recordings=tuple(_open_counts(connection)),
        staleness=measure_staleness(connection),
        outbox=measure_depth(connection),
        parked=count_parked(connection, now),
        budgets=tuple(_budgets(connection, now)),
        sweeps=tuple(_sweeps(connection)),
        archive=measure_archive(connection),
    )


def _now(connection: sa.Connection) -> float:
    """The clock that all replicas share."""
    if connection.dialect.name == "sqlite":
        return time.time()
    clock = sa.select(sa.extract("epoch", sa.func.clock_timestamp()))
    return float(connection.execute(clock).scalar_one())


def _replicas(connection: sa.Connection, now: float) -> tuple[Leader | None, int]:
    rows = connection.execute(
        sa.select(leases.c.name, leases.c.owner, leases.c.until).where(leases.c.until > now)
    ).all()
    leaders = (Leader(owner=row.owner, until=row.until) for row in rows if row.name == LEADER)
    return next(leaders, None), len({row.owner for row in rows})


def _open_counts(connection: sa.Connection) -> Iterator[OpenCount]:
    query = (
        sa.select(recordings.c.app, recordings.c.status, sa.func.count())
        .where(recordings.c.open)
        .group_by(recordings.c.app, recordings.c.status)
        .order_by(recordings.c.app, recordings.c.status)
    )
    for app, text, count in connection.execute(query):
        status = Status(text)
        yield OpenCount(app=app, status=status, live=status in LIVE, count=count)


def _budgets(connection: sa.Connection, now: float) -> Iterator[BudgetUsage]:
    query = sa.select(budgets.c.name, budgets.c.state).order_by(budgets.c.name)
    for name, state in connection.execute(query):
        ledger = _LEDGER.decode(state)
        yield BudgetUsage(
            account=name,
            paused_until=ledger.paused_until,
            stops_paused_until=ledger.stops_paused_until,
            windows=tuple(_windows(ledger, now)),
        )


def _windows(ledger: Ledger, now: float) -> Iterator[BudgetWindow]:
    for stored in ledger.windows:
        window = stored.advance(now)
        spent, background = window.spent()
        yield BudgetWindow(
            requests=window.rate.requests,
            seconds=window.rate.seconds,
            spent=spent,
            background=background,
            left=max(window.quota_left(Tier.STOP), 0),
        )


def _sweeps(connection: sa.Connection) -> list[SweepInfo]:
    rows = connection.execute(sa.select(named_times.c.name, named_times.c.at))
    times = {row.name: row.at for row in rows}
    apps = (name.partition("/")[2] for name in times)
    by_app = {app: times[sweep_cursor(app)] for app in apps if sweep_cursor(app) in times}
    newest = max(by_app.values(), default=0.0)
    return [
        SweepInfo(
            app=app,
            swept_at=at,
            webhook_at=times.get(webhook_cursor(app)),
            missed_webhook_at=times.get(missed_webhook_cursor(app)),
        )
        for app, at in sorted(by_app.items())
        if at > newest - FORGOTTEN_AFTER_SECONDS
    ]
