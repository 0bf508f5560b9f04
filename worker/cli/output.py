"""Prints data on stdout: tables on a terminal, JSON lines in a pipe."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click
import msgspec

from worker.domain.escaping import escape_controls, escape_json_controls

Decorated = TypeVar("Decorated", bound=Callable[..., object])
Row = dict[str, Any]
"""The fields of one JSON line, or of one row of a table."""

_STYLES: Final = {
    "ok": "green",
    "UPLOADED": "green",
    "RECORDING": "cyan",
    "PAUSED": "yellow",
    "no permission": "yellow",
    "missing": "red",
    "differs": "red",
    "ERRORED": "red",
}


def json_option(command: Decorated) -> Decorated:
    """Add `--json/--no-json`, passed as `as_json`. Without it, a pipe gets JSON."""
    return click.option(
        "--json/--no-json",
        "as_json",
        default=None,
        callback=lambda _context, _parameter, value: (
            not sys.stdout.isatty() if value is None else value
        ),
        help="Print JSON lines, or text. Default: text on a terminal, JSON in a pipe.",
    )(command)


def print_json(value: object) -> None:
    """Print one JSON line and flush, so that the reader of a pipe has it at once."""
    click.echo(escape_json_controls(msgspec.json.encode(value).decode()))
    sys.stdout.flush()


def print_rows(columns: Mapping[str, str], rows: Sequence[Row], *, as_json: bool) -> None:
    """Print rows as JSON lines, or as a table. `columns` maps titles to fields of the rows."""
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(list(columns), [[row[field] for field in columns.values()] for row in rows])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table. None shows as a dash."""
    cells = [
        ["-" if value is None else escape_controls(str(value)) for value in row] for row in rows
    ]
    if sys.stdout.isatty():
        _print_rich_table(columns, cells)
    else:
        _print_plain_table(columns, cells)


def _cell(value: object) -> str:
    return "-" if value is None else escape_controls(str(value))


def _print_rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Imported here because it is slow, and only a terminal needs it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut off is useless
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(table)


def _print_plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
