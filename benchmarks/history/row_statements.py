"""The SQL that writes one row of a life for many recordings, with new ids and times.

It selects from the table `past`, which has these for each of the recordings.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.history.lives import BEGAN, Life, Row
from worker.store.database.schema import recordings

MAX_EVENTS: Final = 32
"""The number of outbox positions that each recording has for itself."""

IDS: Final = ("recording", "start", "stop", "meeting", "session")
MINUTES: Final = (0, 1, 57, 58, 59)
"""The moments of a life. The state of a recording has them as texts."""


def columns_of(life: Life, events: Sequence[Row]) -> dict[str, str]:
    """The SQL of each id of a life, by the id. `events` are the rows of its outbox."""
    ids = {life.id_of(id_kind): id_kind for id_kind in IDS}
    for event in events:
        number = event["position"] % MAX_EVENTS
        ids[event["event_id"]] = f"('{number:02x}' || substr(recording, 3))"
    return ids


def select_row(
    connection: sa.Connection,
    columns: Sequence[sa.Column[Any]],
    row: Row,
    number: int,
    ids: Mapping[str, str],
) -> str:
    """The SQL that writes a row of life `number`. `ids` maps each of its ids to an expression."""
    values = ", ".join(_expression(connection, column, row[column.name], ids) for column in columns)
    return f"SELECT {values} FROM past WHERE life = {number}"  # noqa: S608 - rows of `lives`


def _expression(
    connection: sa.Connection,
    column: sa.Column[Any],
    value: Any,  # noqa: ANN401
    ids: Mapping[str, str],
) -> str:
    """The SQL of a column, from the value that it has in the life."""
    if value is None:
        return "CAST(NULL AS REAL)" if isinstance(column.type, sa.Double) else "NULL"
    if column.name == "position":
        return f"i * {MAX_EVENTS} + {value % MAX_EVENTS}"
    if column.name == "event_positions":
        return f"(i * {MAX_EVENTS}) || '-' || (i * {MAX_EVENTS} + {MAX_EVENTS - 1})"
    if isinstance(value, float):
        return f"{value!r} + shift" if value > 1e9 else repr(value)
    if isinstance(value, int):
        is_truth = isinstance(value, bool) and connection.dialect.name == "postgresql"
        return str(value).lower() if is_truth else str(int(value))
    is_state = column is recordings.c.state
    moments = {_iso(minutes): f"at_{minutes}" for minutes in MINUTES} if is_state else {}
    return _text(connection, value, {**ids, **moments})


ISO: Final = 'YYYY-MM-DD"T"HH24\\:MI\\:SS"Z"'
"""As PostgreSQL writes it, with the colons that SQLAlchemy would take for parameters."""


def at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def _iso(minutes: float) -> str:
    return f"{at(minutes):%Y-%m-%dT%H:%M:%SZ}"


def _text(connection: sa.Connection, value: str | bytes, places: Mapping[str, str]) -> str:
    """The SQL of a text or of bytes, with columns of `past` in these places.

    The database writes it in one pass. With a `replace()` for each place it takes twice as long.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    text = value.decode() if isinstance(value, bytes) else value
    parts = re.split(f"({'|'.join(map(re.escape, places))})", text)
    if is_sqlite:
        pattern = "%s".join(part.replace("%", "%%") for part in parts[::2])
        columns = [places[part] for part in parts[1::2]]
        sql = f"printf({', '.join([_quoted(pattern), *columns])})" if columns else _quoted(text)
    else:
        written = [places.get(part) or _quoted(part.replace("%", "%%")) for part in parts if part]
        sql = f"concat({', '.join(written)})" if written else "''"
    if isinstance(value, str):
        return sql
    return f"CAST({sql} AS BLOB)" if is_sqlite else f"convert_to({sql}, 'UTF8')"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def positions_are_free(rows: Sequence[Row]) -> bool:
    """Whether the events of one life fit into the positions of one recording."""
    return len({row["position"] % MAX_EVENTS for row in rows}) == len(rows) <= MAX_EVENTS
