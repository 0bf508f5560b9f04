"""The rights that a worker needs at PostgreSQL, and which of them its role lacks.

A commit to one table does not prove that others can be written: an administrator may have revoked a
right on one of them. `lacking_rights` is an expression for a statement that is executed anyway, so
it costs no round trip.
"""

from typing import Final

import sqlalchemy as sa

from worker.store.database.archive_schema import archive_timeline
from worker.store.database.schema import budgets, metadata, outbox, parked, replica_sessions

_NEEDED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_UNUSED: Final = {
    (budgets.name, "DELETE"),
    (replica_sessions.name, "UPDATE"),
    (archive_timeline.name, "UPDATE"),
}

RIGHTS: Final = tuple(
    (table, right)
    for table in sorted(metadata.tables)
    for right in _NEEDED
    if (table, right) not in _UNUSED
)
"""Each table with each right that a worker needs on it."""

COUNTERS: Final = (outbox.name, parked.name)
"""The tables whose `position` comes from a sequence."""

_RIGHTS = ", ".join(f"('{table}', '{right}')" for table, right in RIGHTS)
_COUNTERS = ", ".join(f"('{table}')" for table in COUNTERS)
# A right on single columns counts, because the administrator may have granted all of them so.
_LACKING: Final = f"""(
SELECT string_agg(lacking, ', ') FROM (
    SELECT needed || ' on ' || name AS lacking FROM (VALUES {_RIGHTS}) AS rights (name, needed)
    WHERE NOT CASE needed
        WHEN 'DELETE' THEN has_table_privilege(name, needed)
        ELSE has_any_column_privilege(name, needed) END
    UNION ALL
    SELECT 'USAGE on the sequence of ' || name FROM (VALUES {_COUNTERS}) AS counters (name)
    WHERE NOT has_sequence_privilege(pg_get_serial_sequence(name, 'position'), 'USAGE')
) AS all_lacking)"""  # noqa: S608 - our own names


def lacking_rights(connection: sa.Connection) -> sa.ColumnElement[str | None] | None:
    """The rights that the role lacks, as a text for users; NULL if it has all. None on SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    return sa.literal_column(_LACKING, sa.Text())
