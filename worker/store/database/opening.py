"""Opens a database for a worker, and brings its tables up to date."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa

from worker.store.database.clock import DatabaseClock, MachineClock
from worker.store.database.engine import make_private, open_engine, sqlite_lock
from worker.store.database.group_commit import GroupCommit
from worker.store.database.migrate import migrate
from worker.store.database.notifications import Notifier
from worker.store.database.postgresql import CurrentUrl, Pooler, current_parameters
from worker.store.database.sqlite_files import SqliteFiles


class OpenDatabase(NamedTuple):
    """A database whose tables are up to date.

    `background` is for work that nothing waits for. `session_parameters` returns those of the
    driver's next `connect` for a session that lasts; None: there are no such sessions. `now` is the
    clock of everybody who shares the database. `is_shared`: other processes may use it.
    """

    group: GroupCommit
    background: GroupCommit
    notifier: Notifier
    session_parameters: Callable[[], dict[str, Any]] | None
    now: Callable[[], float]
    is_shared: bool


async def open_database(
    url: str,
    resources: AsyncExitStack,
    *,
    pooler: Pooler,
    current_url: CurrentUrl | None,
    now: Callable[[], float],
    ticks: Callable[[], float] | None,
) -> OpenDatabase:
    """Connect, and create or upgrade the tables. `resources` gets what must be closed.

    The arguments and the errors are those of `Store.open`.
    """
    open_one = partial(open_engine, url, pooler=pooler, current_url=current_url)
    engine = open_one()
    if engine.dialect.name == "sqlite":
        return await _open_sqlite(engine, resources, now=now, ticks=ticks)
    listens = pooler == "none"
    parameters = current_parameters(url, current_url or (lambda: url)) if listens else None
    notifier, clock = Notifier(parameters), DatabaseClock()
    group = GroupCommit(engine, notifier, clock=clock)
    resources.push_async_callback(group.close)
    background = GroupCommit(open_one(), notifier, clock=clock)
    resources.push_async_callback(background.close)
    await group.run(migrate)
    return OpenDatabase(group, background, notifier, parameters, clock.now, is_shared=True)


async def _open_sqlite(
    engine: sa.Engine,
    resources: AsyncExitStack,
    *,
    now: Callable[[], float],
    ticks: Callable[[], float] | None,
) -> OpenDatabase:
    path = engine.url.database
    if lock := sqlite_lock(path):
        resources.enter_context(lock)
    make_private(path)
    files = SqliteFiles.of(path)
    notifier = Notifier(None)
    clock = MachineClock(now, ticks) if ticks else None
    # One group for all work, because the file takes one writer at a time.
    group = GroupCommit(engine, notifier, clock=clock, files=files)
    resources.push_async_callback(group.close)
    await group.run(migrate)
    if files is not None:
        files.remember()
    return OpenDatabase(group, group, notifier, None, now, is_shared=False)
