"""Brings the tables up to date when the worker starts.

During an upgrade, workers of two versions use one database. A migration therefore only adds tables,
indexes, and columns that are nullable or have a default, because an older worker leaves them out. A
table or column is removed by a later release than the one that stopped using it. So a worker can
use a database that a newer version has migrated. An SQLite file has only one worker: there a
migration may also replace.

A database may have millions of finished rows, and a worker is unavailable while it migrates. A new
migration therefore reads and writes none of them, and builds no index over them. A test holds this
(tests/contract/store/test_migrations.py).

The first migration has the tables of the first release. Tables of earlier development versions are
refused (docs/adr/0039).
"""

import time
from functools import cache
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine.mock import MockConnection

from worker.domain.errors import StoreUnavailable
from worker.store.database import archive_schema  # noqa: F401 - its tables are part of `metadata`
from worker.store.database.schema import inbox, metadata

HEAD: Final = "0019"
"""The newest revision. A test compares it with the files in migrations/versions."""

FIRST_RELEASE: Final = "0017"
"""The oldest revision that can be migrated."""

FOLDER: Final = Path(__file__).parents[1] / "migrations"
"""The migrations, and Alembic's `env.py`."""

ADVISORY_LOCK: Final = 7_265_636_072

MIGRATION_LOCK_TIMEOUT_SECONDS: Final = 10.0
"""A replica waits this long while another replica migrates. Then a worker reports the reason, and
tries again."""

MIGRATION_LOCK_INTERVAL_SECONDS: Final = 0.2


def migrate(connection: sa.Connection, *, head: str = HEAD, folder: Path = FOLDER) -> None:
    """Apply the missing migrations. Several replicas may start at the same time.

    Raises StoreUnavailable if another replica migrates for more than ten seconds, or if the
    database has tables of another program or of a version before the first release. `head` and
    `folder` are for tests of later migrations.
    """
    revision = revision_of(connection)
    if revision is None or revision < head:
        if connection.dialect.name == "postgresql":
            _take_turn(connection)
        revision = revision_of(connection)
    _check_that_tables_are_ours(connection, revision)
    if revision is None:
        _create(connection)
        return
    check_that_it_is_released(revision)
    if revision < head:
        upgrade(connection, head=head, folder=folder)


def check_that_it_is_released(revision: str) -> None:
    """Raise StoreUnavailable for a revision of a version before the first release."""
    if revision < FIRST_RELEASE:
        raise StoreUnavailable(
            f"the database is at revision {revision}, from before the first release: start the "
            "worker of commit fecc428 on it once, or use a new database"
        )


def _check_that_tables_are_ours(connection: sa.Connection, revision: str | None) -> None:
    """Another program may also use Alembic, or have a table of the same name."""
    inspector = sa.inspect(connection)
    if revision is None:
        foreign = next(filter(inspector.has_table, metadata.tables), None)
    else:
        foreign = None if inspector.has_table(inbox.name) else _VERSION.name
    if foreign is not None:
        raise StoreUnavailable(
            f"the table {foreign} belongs to another program: use another database, or in "
            "PostgreSQL a separate schema (?options=-csearch_path%3Dname)"
        )


def _take_turn(connection: sa.Connection) -> None:
    # Tries repeatedly, because one long wait would hit the time-outs of statements and locks.
    until = time.monotonic() + MIGRATION_LOCK_TIMEOUT_SECONDS
    lock = sa.select(sa.func.pg_try_advisory_xact_lock(ADVISORY_LOCK))
    while not connection.execute(lock).scalar_one():
        if time.monotonic() >= until:
            raise StoreUnavailable(
                "another worker has been migrating the database for"
                f" {MIGRATION_LOCK_TIMEOUT_SECONDS:g} s"
            )
        time.sleep(MIGRATION_LOCK_INTERVAL_SECONDS)


def revision_of(connection: sa.Connection) -> str | None:
    """The revision of the tables; None if there are no tables."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.select(_VERSION.c.version_num)).scalar()


def _create(connection: sa.Connection) -> None:
    """Create all tables at once, as the migrations would leave them. A test compares the two.

    Every new database begins like this, without Alembic, whose import takes longer.
    """
    for statement in _creation(connection.engine.url.drivername):
        connection.exec_driver_sql(statement)
    connection.execute(sa.insert(_VERSION).values(version_num=HEAD))


@cache
def _creation(drivername: str) -> tuple[str, ...]:
    """The statements that create all tables. Rendering them takes longer than SQLite's work."""
    statements: list[str] = []
    engine: MockConnection = sa.create_mock_engine(
        f"{drivername}://",
        lambda ddl, *_: statements.append(str(ddl.compile(dialect=engine.dialect))),
    )
    metadata.create_all(engine, checkfirst=False)
    _VERSION.create(engine, checkfirst=False)
    return tuple(statements)


_VERSION: Final = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""The version table as Alembic creates it, because Alembic uses it later."""


def upgrade(connection: sa.Connection, *, head: str = HEAD, folder: Path = FOLDER) -> None:
    """Apply the migrations that are missing up to `head`."""
    # Imported only if there is something to do: the import takes longer than the rest of the start.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, head)
