"""The databases that tests take one after the other are like new ones."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from tests.prepared_databases import MAX_DELETED_ROWS, PreparedPostgreSQL

ROWS = "INSERT INTO marks (name, at) SELECT 'mark ' || n, n FROM generate_series(1, {}) n"


@pytest.fixture(scope="module")
def databases(postgresql: PostgreSQLServer) -> Iterator[PreparedPostgreSQL]:
    with closing(PreparedPostgreSQL(postgresql)) as prepared:
        yield prepared


def test_a_database_in_which_a_few_rows_are_left_is_emptied_and_used_again(
    databases: PreparedPostgreSQL,
) -> None:
    url = databases.take()
    _execute(url, ROWS.format(MAX_DELETED_ROWS))
    databases.give_back(url)
    assert databases.take() == url
    assert _execute(url, "SELECT count(*) FROM marks") == 0
    databases.give_back(url)


@pytest.mark.parametrize(
    "statement",
    [
        ROWS.format(MAX_DELETED_ROWS + 1),
        "ALTER TABLE leases ADD COLUMN colour text",
        "ANALYZE",
        "CREATE SCHEMA other",
        "CREATE TABLE other (id int)",
        "DROP TABLE leases",
        "GRANT SELECT ON leases TO public",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
def test_a_database_in_which_anything_else_is_left_is_dropped(
    databases: PreparedPostgreSQL, statement: str
) -> None:
    url = databases.take()
    _execute(url, statement)
    databases.give_back(url)
    assert not _exists(url)


def test_a_database_with_a_setting_is_dropped(databases: PreparedPostgreSQL) -> None:
    url = databases.take()
    _execute(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET work_mem = '1MB'")
    databases.give_back(url)
    assert not _exists(url)


def test_a_database_that_still_has_a_client_is_dropped(databases: PreparedPostgreSQL) -> None:
    url = databases.take()
    with psycopg.connect(url):
        databases.give_back(url)
    assert not _exists(url)


def _execute(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return (cursor.fetchone() or (None,))[0] if cursor.description else None


def _exists(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
