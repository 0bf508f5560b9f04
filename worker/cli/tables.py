"""Tables for users. On a terminal, a row fits into 80 columns; elsewhere nothing is left out."""

import shutil
import sys
from collections.abc import Collection, Sequence
from typing import Final, get_args

import click

from worker.cli.columns import Column, ColumnKind, Row, shown_text
from worker.cli.fitting import fit
from worker.cli.text import cells
from worker.cli.times import local_time

WIDE: Final = f"{__name__}.wide"
"""In the context of a command: whether --wide is given."""

MIN_FOLDED: Final = 6
"""A column that wraps has at least this many letters."""

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


_FOLDING: Final = (
    {"text"},
    {"text", "id"},
    {"text", "id", "type"},
    frozenset(get_args(ColumnKind)),  # nothing may be cut off
)
"""The kinds of columns whose cells wrap, in the order in which a table gets narrower."""


def print_table(columns: Sequence[Column], rows: Sequence[Row], *, nothing: str = "") -> None:
    """Print a table. None shows as a dash. Without rows, a terminal shows `nothing`, if given."""
    if not sys.stdout.isatty():
        lines = [[_exact(column, row[column.field]) for column in columns] for row in rows]
        _print_plain_table([column.title for column in columns], lines)
    elif nothing and not rows:
        click.secho(nothing, dim=True)
    elif is_wide():
        lines = [[_exact(column, row[column.field]) for column in columns] for row in rows]
        _print_rich_table(columns, lines, folding=frozenset())
    else:
        _print_short_table(columns, rows)


def is_wide() -> bool:
    """Whether the running command has --wide."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(WIDE))


def _exact(column: Column, value: object) -> str:
    if column.kind == "time":
        value = local_time(value)  # type: ignore[arg-type]  # as the column promises
    return shown_text(value)


# On a terminal


def _print_short_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    fitted = fit(columns, rows, _terminal_width())
    lines = list(zip(*fitted.cells.values(), strict=True))
    shown = list(fitted.cells)
    _print_rich_table(shown, lines, folding=_needed_folding(shown, lines))
    if fitted.same:
        click.secho(f"In each row: {', '.join(fitted.same)}", dim=True)
    if fitted.left_out:
        click.secho(f"With --wide: {', '.join(fitted.left_out)}", dim=True)


def _needed_folding(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> Collection[str]:
    """The kinds of columns that wrap: texts, then ids, types and others if there is not enough
    space."""
    for folding in _FOLDING:
        if _least_width(columns, lines, folding) <= _terminal_width():
            return folding
    return _FOLDING[-1]


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns


def _print_rich_table(
    columns: Sequence[Column], lines: Sequence[Sequence[str]], *, folding: Collection[str]
) -> None:
    """Print a table in which columns of these kinds wrap. Without them, it is as wide as its rows.

    A terminal wraps a wider row itself, and an id that is copied from there is still complete.
    """
    # Imported here because it is slow, and only a terminal needs it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(color_system=None if without_colour() else "auto")
    if not folding:
        console.width = max(console.width, _least_width(columns, lines, folding))
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.title, overflow="fold", no_wrap=column.kind not in folding)
    for line in lines:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in line))
    with console.capture() as capture:
        console.print(table)
    for printed in capture.get().splitlines():
        click.echo(printed.rstrip())


def _least_width(
    columns: Sequence[Column], lines: Sequence[Sequence[str]], folding: Collection[str]
) -> int:
    """How wide the table is if only columns of these kinds wrap."""
    widths = (
        max(cells(text) for text in (column.title, *(line[index] for line in lines)))
        for index, column in enumerate(columns)
    )
    pairs = zip(columns, widths, strict=True)
    return sum(
        2 + (min(width, MIN_FOLDED) if column.kind in folding else width) for column, width in pairs
    )


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
