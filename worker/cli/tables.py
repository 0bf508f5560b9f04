"""Tables for people. On a terminal, a row fits into 80 columns; elsewhere nothing is left out."""

import shutil
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal, get_args

import click
import msgspec

from worker.cli.moments import local_time, span
from worker.cli.text import cut_middle
from worker.domain.escaping import escape_controls
from worker.domain.short_ids import shorten

Row = dict[str, Any]
"""The fields of one JSON line, or of one row of a table."""

WIDE: Final = f"{__name__}.wide"
"""In the context of a command: whether --wide is given."""

MIN_FOLDED: Final = 6
"""A column that folds gets at least this many letters."""

MIN_FILE: Final = 22
MAX_TEXT_BESIDE_FILE: Final = 24
"""A long text folds, so that a file name beside it has room."""

_STYLES: Final = {
    "ok": "green",
    "succeeded": "green",
    "UPLOADED": "green",
    "RECORDING": "cyan",
    "PAUSED": "yellow",
    "no permission": "yellow",
    "expired": "yellow",
    "missing": "red",
    "differs": "red",
    "ERRORED": "red",
    "rejected": "red",
    "failed": "red",
}


Kind = Literal["text", "id", "time", "type", "name", "file"]
_FOLDING: Final = (
    {"text"},
    {"text", "id"},
    {"text", "id", "type"},
    frozenset(get_args(Kind)),  # nothing may be cut off
)
"""The kinds of columns whose cells fold, in the order in which a table makes itself narrow."""


class Column(msgspec.Struct, frozen=True):
    """A column: its title, and the field of the rows that it shows.

    A terminal shows a short `id`, a relative `time`, a whole `name`, the `type` of a command or an
    event without what all types have, and a `file` cut in the middle. A time is a number of seconds
    since the epoch, or a datetime. On a terminal, a `wide` column needs --wide.
    """

    title: str
    field: str
    kind: Kind = "text"
    wide: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print a table. None shows as a dash."""
    if not sys.stdout.isatty():
        cells = [[_exact(column, row[column.field]) for column in columns] for row in rows]
        _print_plain_table([column.title for column in columns], cells)
    elif is_wide():
        cells = [[_exact(column, row[column.field]) for column in columns] for row in rows]
        _print_rich_table(columns, cells)
    else:
        _print_short_table(columns, rows)


def is_wide() -> bool:
    """Whether the command that runs has --wide."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(WIDE))


def _exact(column: Column, value: object) -> str:
    if column.kind == "time":
        value = local_time(value)  # type: ignore[arg-type]  # as the column promises
    return _text(value)


def _text(value: object) -> str:
    return "-" if value is None else escape_controls(str(value))


# On a terminal


def _print_short_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    by_column = {
        column: _short_cells(column, [row[column.field] for row in rows]) for column in columns
    }
    fitting = [column for column in columns if not column.wide]
    same = [column for column in fitting[1:] if len(rows) > 1 and len(set(by_column[column])) == 1]
    shown = [column for column in fitting if column not in same]
    by_column |= _cut_files({column: by_column[column] for column in shown})
    cells = list(zip(*(by_column[column] for column in shown), strict=True))
    _print_rich_table(shown, cells, is_short=True)
    if facts := [f"{column.title} {by_column[column][0]}" for column in same
                 if by_column[column][0] != "-"]:  # fmt: skip
        click.secho(f"In each row: {', '.join(facts)}", dim=True)
    if left_out := [column.title for column in columns if column.wide]:
        click.secho(f"With --wide: {', '.join(left_out)}", dim=True)


def _short_cells(column: Column, values: Sequence[Any]) -> list[str]:
    match column.kind:
        case "id":
            short = shorten([value for value in values if value is not None])
            return [_text(value if value is None else short[value]) for value in values]
        case "time":
            return [_text(relative_time(value)) for value in values]
        case "type":
            return [_short_type(_text(value)) for value in values]
    return [_text(value) for value in values]


def _cut_files(by_column: dict[Column, list[str]]) -> dict[Column, list[str]]:
    """The file names, cut to the room that other columns leave."""
    widths = {
        column: max(len(column.title), *map(len, cells), 0) for column, cells in by_column.items()
    }
    others = sum(
        2 + (min(width, MAX_TEXT_BESIDE_FILE) if column.kind == "text" else width)
        for column, width in widths.items()
        if column.kind != "file"
    )
    room = max(MIN_FILE, shutil.get_terminal_size().columns - others)
    return {
        column: [cut_middle(cell, room) for cell in cells]
        for column, cells in by_column.items()
        if column.kind == "file"
    }


def _short_type(text: str) -> str:
    return text.removeprefix("recording.").removesuffix(".v1").removesuffix("_recording")


def relative_time(value: float | datetime | None, now: float | None = None) -> str | None:
    """The time as people say it: `5m ago`, or `in 2h`."""
    if value is None:
        return None
    seconds = value.timestamp() if isinstance(value, datetime) else value
    age = (time.time() if now is None else now) - seconds
    return f"{span(age)} ago" if age >= 0 else f"in {span(-age)}"


def _print_rich_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, is_short: bool = False
) -> None:
    """Print a table that folds cells which are too wide.

    If it `is_short`, texts fold. Ids, types and the others follow if there is no room otherwise.
    """
    # Imported here because it is slow, and only a terminal needs it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(color_system=None if without_colour() else "auto")
    whole = [is_short] * len(columns)
    for folding in _FOLDING if is_short else ():
        whole = [column.kind not in folding for column in columns]
        if _least_width(columns, rows, whole) <= console.width:
            break
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column, is_whole in zip(columns, whole, strict=True):
        table.add_column(column.title, overflow="fold", no_wrap=is_whole)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def _least_width(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], whole: Sequence[bool]
) -> int:
    """How wide the table is if only the columns that are not `whole` fold."""
    widths = (
        max(len(text) for text in (column.title, *(row[index] for row in rows)))
        for index, column in enumerate(columns)
    )
    pairs = zip(widths, whole, strict=True)
    return sum(2 + (width if is_whole else min(width, MIN_FOLDED)) for width, is_whole in pairs)


def without_colour() -> bool:
    """Whether the user wants no colours, by --no-color, NO_COLOR or TERM=dumb."""
    context = click.get_current_context(silent=True)
    return context is not None and context.color is False


# Elsewhere


def _print_plain_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(titles), *map(list, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(titles))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
