"""Copying all that is kept from one database to another, of either engine, while no worker runs.

The copy is one transaction of the target: either all of it is there, seen to be equal, or nothing.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from worker.domain.errors import StoreUnavailable
from worker.store.admin.read_only import read_only_engine
from worker.store.database import schema
from worker.store.database.engine import open_engine, sqlite_lock
from worker.store.database.migrate import HEAD, migrate, revision_of

COPIED: Final = (
    schema.inbox,
    schema.recordings,
    schema.files,
    schema.outbox,
    schema.marks,
    schema.budgets,
)
"""What one replica alone may do is not copied: whoever had leave for it is gone."""

MAX_ROWS: Final = 200
_MODULUS: Final = 2**128

Row = dict[str, Any]
ReportProgress = Callable[[str, int], None]
"""Called with a table and how many of its rows have been copied, after each batch."""


class CopiedTable(msgspec.Struct, frozen=True, kw_only=True):
    """What both databases have of a table. `checksum` is of all rows, in whatever order."""

    table: str
    rows: int
    checksum: str


class CopyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that is committed. `fresh` is False when the target had it all before."""

    tables: tuple[CopiedTable, ...]
    fresh: bool


def copy_store(source: str, target: str, tell: ReportProgress) -> CopyResult:
    """Copy the database `source` to `target`, both in the manner of DATABASE_URL.

    The source is not changed. The target's tables are made if there are none. Leases are ended on
    the way, everything else is as it was, and so are the ids of events to come. May be repeated: a
    target that is equal already is left alone.

    Raises StoreUnavailable, with the target as it was, when a worker uses either database, the
    source is of another revision, the target has other rows, what is read back differs, or a
    database cannot be used; WrongSettings for a URL of no known database.
    """
    if source == target:
        raise StoreUnavailable("source and target are the same database")
    with ExitStack() as rooms:
        reading = rooms.enter_context(_source(source))
        writing = rooms.enter_context(_target(target))
        if _has_rows(writing):
            return _copied_before(reading, writing)
        wanted = tuple(_copied(reading, writing, table, tell) for table in COPIED)
        _go_on_counting(writing.connection)
        if wanted != _found(writing):
            raise StoreUnavailable("target: it gives back other rows than it was given")
        return CopyResult(tables=wanted, fresh=True)


class _Side(NamedTuple):
    """One of the two databases."""

    name: str
    connection: sa.Connection


@contextmanager
def _source(url: str) -> Iterator[_Side]:
    """A database that is only read, and that nobody writes to meanwhile."""
    with _in_words("source"), ExitStack() as rooms:
        engine = read_only_engine(url)
        rooms.callback(engine.dispose)
        _lock_file(url, rooms)
        connection = rooms.enter_context(engine.connect())
        _check_revision(connection)
        _keep_workers_out(connection, "SHARE")
        yield _Side("source", connection)


@contextmanager
def _target(url: str) -> Iterator[_Side]:
    """A database in a transaction, which is kept if nothing is raised."""
    with _in_words("target"), ExitStack() as rooms:
        engine = open_engine(url)
        rooms.callback(engine.dispose)
        _lock_file(url, rooms)
        connection = rooms.enter_context(engine.begin())
        migrate(connection, [None])
        _keep_workers_out(connection, "EXCLUSIVE")
        yield _Side("target", connection)


@contextmanager
def _in_words(side: str) -> Iterator[None]:
    """What goes wrong with a database, told with which of the two."""
    try:
        yield
    except _Told:
        raise
    except StoreUnavailable as error:
        raise _Told(f"{side}: {error}") from error
    except exc.DBAPIError as error:
        words = str(error.orig).splitlines() or [type(error.orig).__name__]
        raise _Told(f"{side}: {words[0][:300]}") from error.orig


class _Told(StoreUnavailable):
    """Says already which of the two databases it is about."""


def _lock_file(url: str, rooms: ExitStack) -> None:
    """Keep every worker from an SQLite file, as workers do among each other."""
    parsed = sa.make_url(url)
    if parsed.drivername == "sqlite" and (lock := sqlite_lock(parsed.database)):
        rooms.enter_context(lock)


def _check_revision(source: sa.Connection) -> None:
    revision = revision_of(source)
    if revision is None:
        raise StoreUnavailable("it has no tables: no worker has used it yet")
    if revision != HEAD:
        help_ = "start this version on it once" if revision < HEAD else "use the newer version"
        raise StoreUnavailable(f"it is at revision {revision}, and copied is {HEAD}: {help_}")


def _keep_workers_out(connection: sa.Connection, mode: str) -> None:
    """On PostgreSQL let nobody write until the end. Raises when a worker leads there."""
    if connection.dialect.name == "sqlite":
        return
    names = ", ".join(table.name for table in COPIED)
    connection.execute(sa.text(f"LOCK TABLE {names} IN {mode} MODE"))
    now = sa.extract("epoch", sa.func.clock_timestamp())
    held = sa.select(sa.func.max(schema.leases.c.until) - now)
    seconds = connection.execute(held).scalar_one()
    if seconds is not None and seconds > 0:
        raise StoreUnavailable(
            f"a worker uses it: stop all of them; one that was killed counts for {seconds:.0f} s"
        )


def _has_rows(side: _Side) -> bool:
    return any(
        side.connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in COPIED
    )


def _copied_before(source: _Side, target: _Side) -> CopyResult:
    wanted, there = _found(source), _found(target)
    differ = [one.table for one, other in zip(wanted, there, strict=True) if one != other]
    if differ:
        raise StoreUnavailable(
            f"target: it is not empty, and what it has differs in {', '.join(differ)}"
        )
    return CopyResult(tables=wanted, fresh=False)


def _found(side: _Side) -> tuple[CopiedTable, ...]:
    return tuple(_tally(table, _batches(side, table)) for table in COPIED)


def _copied(source: _Side, target: _Side, table: sa.Table, tell: ReportProgress) -> CopiedTable:
    def written() -> Iterator[list[Row]]:
        rows = 0
        for batch in _batches(source, table):
            target.connection.execute(sa.insert(table), batch)
            rows += len(batch)
            tell(str(table.name), rows)
            yield batch

    return _tally(table, written())


def _batches(side: _Side, table: sa.Table) -> Iterator[list[Row]]:
    with _in_words(side.name):
        streamed = side.connection.execution_options(yield_per=MAX_ROWS)
        for part in streamed.execute(sa.select(table)).mappings().partitions():
            yield [_unleased(table, dict(row)) for row in part]


def _unleased(table: sa.Table, row: Row) -> Row:
    """Nobody works on a command any more, as when a worker opens an SQLite file."""
    if table is schema.inbox and row["state"] != "done" and row["lease_owner"] is not None:
        row["lease_until"] = 0.0
    return row


def _tally(table: sa.Table, batches: Iterable[list[Row]]) -> CopiedTable:
    """Count rows and add up their digests, since the engines sort texts differently."""
    rows = total = 0
    for batch in batches:
        for row in batch:
            packed = msgspec.msgpack.encode([row[column.name] for column in table.columns])
            total += int.from_bytes(hashlib.blake2b(packed, digest_size=16).digest())
        rows += len(batch)
    return CopiedTable(table=str(table.name), rows=rows, checksum=f"{total % _MODULUS:032x}")


def _go_on_counting(connection: sa.Connection) -> None:
    """Number new events behind the copied ones, which SQLite does by itself."""
    if connection.dialect.name == "sqlite":
        return
    last = connection.execute(sa.select(sa.func.max(schema.outbox.c.position))).scalar()
    if last is not None:
        sequence = sa.func.pg_get_serial_sequence("outbox", "position")
        connection.execute(sa.select(sa.func.setval(sequence, last)))
