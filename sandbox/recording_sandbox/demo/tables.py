"""Tables on stdout: in colour on a terminal, else as aligned text."""

import sys
from collections.abc import Sequence

import click

_ID_LENGTH = 13


def short_id(text: str | None) -> str:
    """The beginning of an id on a terminal, else the whole id. `?` if there is none."""
    if text is None or not sys.stdout.isatty():
        return text or "?"
    return f"{text[:_ID_LENGTH]}…"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under the names of their columns."""
    if sys.stdout.isatty():
        _print_coloured_table(columns, rows)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _print_coloured_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
