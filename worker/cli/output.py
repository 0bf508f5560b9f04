"""Data on stdout: tables on a terminal, JSON lines in a pipe."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import click
import msgspec

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def json_option(command: Decorated) -> Decorated:
    """Adds `--json/--no-json`, handed over as `as_json`; decided by the terminal if not given."""
    return click.option(
        "--json/--no-json",
        "as_json",
        default=None,
        callback=lambda _context, _parameter, given: (
            not sys.stdout.isatty() if given is None else given
        ),
        help="JSON lines, or text for people. By default text on a terminal only.",
    )(command)


def print_json(value: object) -> None:
    """One JSON line, flushed, so that whoever reads the pipe has it at once."""
    click.echo(msgspec.json.encode(value).decode())
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people; None shows as a dash."""
    cells = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, cells)
    else:
        _plain_table(columns, cells)


def printable(text: str) -> str:
    """The text without what could move a terminal's cursor or change its colours."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def print_rows(
    columns: Mapping[str, str], rows: Sequence[Mapping[str, object]], *, as_json: bool
) -> None:
    """Rows as JSON lines, or the named members of them as a table: `columns` is title → member."""
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(list(columns), [[row[member] for member in columns.values()] for row in rows])


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # Only terminals pay for it, and `run` never does.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")  # cut off, an id would be of no use
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(table)


_STYLES = {
    "ok": "green",
    "UPLOADED": "green",
    "RECORDING": "cyan",
    "PAUSED": "yellow",
    "missing": "red",
    "differs": "red",
    "ERRORED": "red",
    "no permission": "yellow",
}


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
