"""Copies the state from one database to another, of either engine, while no worker runs.

The copy is one transaction of the target. Either all rows are there and were compared, or none.
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
from worker.store.database import archive_schema, schema
from worker.store.database.engine import open_engine, sqlite_lock, sqlite_url
from worker.store.database.migrate import HEAD, check_that_it_is_released, migrate, revision_of
from worker.store.database.postgresql import Pooler, is_postgresql

COPIED: Final = (
    schema.inbox,
    schema.recordings,
    schema.deferred,
    schema.files,
    archive_schema.archive_files,
    archive_schema.archive_recordings,
    archive_schema.archive_timeline,
    schema.outbox,
    schema.parked,
    schema.replays,
    schema.named_times,
    schema.budgets,
)
"""The tables to copy. Leases and sessions are left out, because their owners no longer run."""

IDLE_TIMEOUT: Final = "10min"
"""While one side reads or writes, the other one is idle inside its transaction."""

MAX_LEASE_SECONDS: Final = 3600.0
"""A lease that ends later was written while the clock was far ahead."""

MAX_ROWS: Final = 200
_MODULUS: Final = 2**128

Row = dict[str, Any]
ReportProgress = Callable[[str, int], None]
"""Called after each batch with a table and how many of its rows have been copied."""


class CopiedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table that is equal in both databases. `checksum` covers all rows, in any order."""

    table: str
    rows: int
    checksum: str


class CopiedStore(msgspec.Struct, frozen=True, kw_only=True):
    """A committed copy. `fresh` is False if the target already had all rows."""

    tables: tuple[CopiedTable, ...]
    fresh: bool


def copy_store(
    source: str, target: str, report: ReportProgress, *, pooler: Pooler = "none"
) -> CopiedStore:
    """Copy the database `source` to `target`. Both are URLs like DATABASE_URL.

    `pooler` is the kind of pooler in front of PostgreSQL. The source is not changed. If the target
    has no tables, they are created. Leases end, everything else is copied unchanged, and the
    numbering of events continues. The copy may be repeated: a target that is already equal is not
    changed.

    After an error the target is as it was. Raises StoreUnavailable if a worker uses either
    database, or if one cannot be used. It is also raised if the source has another revision, the
    target has other rows, or the rows read back differ. Raises WrongSettings for a URL of no known
    database.
    """
    if source == target:
        raise StoreUnavailable("source and target are the same database")
    with ExitStack() as resources:
        reading = resources.enter_context(_source(source, pooler))
        writing = resources.enter_context(_target(target, pooler))
        if _has_rows(writing):
            return _compare(reading, writing)
        copied = tuple(_copy_table(reading, writing, table, report) for table in COPIED)
        _continue_numbering(reading.connection, writing.connection)
        if copied != _tallies(writing):
            raise StoreUnavailable("the rows read back differ from the rows written")
        return CopiedStore(tables=copied, fresh=True)


class _Side(NamedTuple):
    """One of the two databases."""

    name: str
    connection: sa.Connection


@contextmanager
def _source(url: str, pooler: Pooler) -> Iterator[_Side]:
    """A database that is only read, and that no worker writes to meanwhile."""
    with _named_errors("source"), ExitStack() as resources:
        engine = read_only_engine(url, pooler=pooler)
        resources.callback(engine.dispose)
        _lock_file(url, resources)
        connection = resources.enter_context(engine.connect())
        _check_revision(connection)
        _keep_workers_out(connection, "SHARE")
        yield _Side("source", connection)


@contextmanager
def _target(url: str, pooler: Pooler) -> Iterator[_Side]:
    """A database in a transaction, which is committed if nothing is raised."""
    with _named_errors("target"), ExitStack() as resources:
        engine = open_engine(url, pooler=pooler)
        resources.callback(engine.dispose)
        _lock_file(url, resources)
        connection = resources.enter_context(engine.begin())
        migrate(connection)
        _keep_workers_out(connection, "EXCLUSIVE")
        yield _Side("target", connection)


@contextmanager
def _named_errors(side: str) -> Iterator[None]:
    """Add to errors of a database which of the two it is."""
    try:
        yield
    except _NamedError:
        raise
    except StoreUnavailable as error:
        raise _NamedError(f"{side}: {error}") from error
    except exc.DBAPIError as error:
        lines = str(error.orig).splitlines() or [type(error.orig).__name__]
        raise _NamedError(f"{side}: {lines[0][:300]}") from error.orig


class _NamedError(StoreUnavailable):
    """An error that already names one of the two databases."""


def _lock_file(url: str, resources: ExitStack) -> None:
    """Exclude workers from an SQLite file, by the lock that they use."""
    if not is_postgresql(url) and (lock := sqlite_lock(sqlite_url(url).database)):
        resources.enter_context(lock)


def _check_revision(source: sa.Connection) -> None:
    revision = revision_of(source)
    if revision is None:
        raise StoreUnavailable("it has no tables: no worker has used it yet")
    check_that_it_is_released(revision)
    if revision != HEAD:
        help_ = "start this version on it once" if revision < HEAD else "use the newer version"
        raise StoreUnavailable(f"it is at revision {revision}, only {HEAD} is copied: {help_}")


def _keep_workers_out(connection: sa.Connection, mode: str) -> None:
    """On PostgreSQL, lock the tables until the end. Raises StoreUnavailable if a worker is the
    leader."""
    if connection.dialect.name == "sqlite":
        return
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}'")
    names = ", ".join(table.name for table in COPIED)
    connection.execute(sa.text(f"LOCK TABLE {names} IN {mode} MODE"))
    now = sa.extract("epoch", sa.func.clock_timestamp())
    until = schema.leases.c.until
    held = sa.select(sa.func.max(until) - now).where(until < now + MAX_LEASE_SECONDS)
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


def _compare(source: _Side, target: _Side) -> CopiedStore:
    expected, found = _tallies(source), _tallies(target)
    differ = [tally.table for tally, copied in zip(expected, found, strict=True) if tally != copied]
    if differ:
        raise StoreUnavailable(f"it is not empty, and its rows differ in {', '.join(differ)}")
    return CopiedStore(tables=expected, fresh=False)


def _tallies(side: _Side) -> tuple[CopiedTable, ...]:
    return tuple(_tally(table, _batches(side, table)) for table in COPIED)


def _copy_table(
    source: _Side, target: _Side, table: sa.Table, report: ReportProgress
) -> CopiedTable:
    def written() -> Iterator[list[Row]]:
        rows = 0
        for batch in _batches(source, table):
            target.connection.execute(sa.insert(table), batch)
            rows += len(batch)
            report(str(table.name), rows)
            yield batch

    return _tally(table, written())


def _batches(side: _Side, table: sa.Table) -> Iterator[list[Row]]:
    with _named_errors(side.name):
        streamed = side.connection.execution_options(yield_per=MAX_ROWS)
        keys = table.c.keys()  # an insert needs these, and a result has the names in the database
        for part in streamed.execute(sa.select(table)).partitions():
            yield [_unleased(table, dict(zip(keys, row, strict=True))) for row in part]


def _unleased(table: sa.Table, row: Row) -> Row:
    """The row with its lease ended, as when a worker opens an SQLite file."""
    if table is schema.inbox and row["state"] != "done" and row["lease_owner"] is not None:
        row["lease_until"] = 0.0
    due = _DUE.get(table)
    if due is not None and row["owner"] is not None:
        row |= {due: 0.0, "owner": None}
    return row


_DUE: Final = {
    archive_schema.archive_files: "due_at",
    archive_schema.archive_recordings: "manifest_due_at",
}
"""The end of an owner's lease in the row."""


def _tally(table: sa.Table, batches: Iterable[list[Row]]) -> CopiedTable:
    """Count rows and add up their digests. A sum, because the engines sort texts differently."""
    rows = total = 0
    for batch in batches:
        for row in batch:
            packed = msgspec.msgpack.encode(list(row.values()))
            total += int.from_bytes(hashlib.blake2b(packed, digest_size=16).digest())
        rows += len(batch)
    return CopiedTable(table=str(table.name), rows=rows, checksum=f"{total % _MODULUS:032x}")


def _continue_numbering(source: sa.Connection, target: sa.Connection) -> None:
    """Number new events and parkings behind all numbers that the source ever used.

    Removed rows count as well: recordings, and messages in the queue, may still name them.
    """
    for table in (schema.outbox, schema.parked):
        if (last := _last_number(source, table)) is not None:
            _set_last_number(target, table, last)


def _last_number(connection: sa.Connection, table: sa.Table) -> int | None:
    """The last position that the table gave. None if it never had a row."""
    if connection.dialect.name == "sqlite":
        query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        seq: int | None = connection.execute(query, {"name": table.name}).scalar()
        return seq
    sequence = connection.execute(sa.select(_sequence(table))).scalar_one()
    query = sa.text(f"SELECT last_value FROM {sequence} WHERE is_called")  # noqa: S608 - our own
    number: int | None = connection.execute(query).scalar()
    return number


def _set_last_number(connection: sa.Connection, table: sa.Table, last: int) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.setval(_sequence(table), last)))
        return
    row = {"name": table.name, "last": last}
    connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), row)
    connection.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), row)


def _sequence(table: sa.Table) -> sa.ColumnElement[str]:
    return sa.func.pg_get_serial_sequence(table.name, "position")
