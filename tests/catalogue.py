"""The catalogue of the worker's tables in a database, for comparisons."""

import re
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa


def catalogue(connection: sa.Connection) -> list[str]:
    """Each column, key, check, index, sequence, trigger and setting as a text, sorted.

    The order of columns is left out: a migration adds a column at the end of its table.
    """
    if connection.dialect.name == "sqlite":
        return sorted(_of_sqlite(connection))
    return sorted(connection.exec_driver_sql(_POSTGRESQL).scalars())


def _of_sqlite(connection: sa.Connection) -> Iterator[str]:
    query = "SELECT type, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    for type_, table, sql in connection.exec_driver_sql(query):
        text = re.sub(r"\s+", " ", sql.replace(f"{table}.", ""))
        if type_ != "table":
            yield text
            continue
        create, _, rest = text.partition("(")
        parts, _, options = rest.rpartition(")")
        yield f"{create} {options}"
        for part in re.split(r", (?![^(]*\))", parts):  # not at a comma within parentheses
            yield f"{table}: {part.strip()}"


_POSTGRESQL: Final = """
WITH own AS (SELECT * FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
SELECT concat_ws(' ', relname, relkind, relpersistence, reloptions) FROM own
UNION ALL
SELECT concat_ws(' ', relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
    attgenerated, attstorage, attoptions, pg_get_expr(adbin, adrelid))
FROM own JOIN pg_attribute a ON attrelid = own.oid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT concat_ws(' ', relname, conname, convalidated, pg_get_constraintdef(c.oid))
FROM own JOIN pg_constraint c ON conrelid = own.oid
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL
SELECT concat_ws(' ', sequencename, data_type, start_value, increment_by, max_value, cycle)
FROM pg_sequences WHERE schemaname = current_schema()
UNION ALL
SELECT pg_get_triggerdef(t.oid) FROM own JOIN pg_trigger t ON tgrelid = own.oid
"""
