"""The columns of tables, and the text of their cells."""

from typing import Any, Literal

import msgspec

from worker.domain.escaping import escape_controls

Row = dict[str, Any]
"""The fields of one JSON line, or of one row of a table."""

ColumnKind = Literal["text", "id", "time", "type", "name", "file"]


class Column(msgspec.Struct, frozen=True):
    """A column: its title, and the field of the rows that it shows.

    A terminal shows a short `id`, a relative `time`, a whole `name`, the `type` of a command or an
    event without the parts common to all types, and a `file` cut in the middle. A time is a number
    of seconds since the epoch, or a datetime. On a terminal, a `wide` column needs --wide. So does
    a `spare` one if there is not enough space.
    """

    title: str
    field: str
    kind: ColumnKind = "text"
    wide: bool = False
    spare: bool = False


def shown_text(value: object) -> str:
    """The value as text that is safe on a terminal."""
    return "-" if value is None else escape_controls(str(value))
