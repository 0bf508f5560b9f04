"""Prints data on stdout: tables on a terminal, JSON lines in a pipe."""

import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import click
import msgspec

from worker.cli.columns import Column, Row
from worker.cli.tables import WIDE, print_table
from worker.domain.escaping import escape_json_controls

__all__ = [
    "MAX_LIMIT", "Column", "Decorated", "Row", "json_option", "limit_option", "no_color_option",
    "print_json", "print_rows", "table_options",
]  # fmt: skip

Decorated = TypeVar("Decorated", bound=Callable[..., object])

MAX_LIMIT: Final = 100_000


def json_option(command: Decorated) -> Decorated:
    """Add `--no-color`, and `--json/--no-json` as `as_json`. Its default for pipes is JSON."""
    json = click.option(
        "--json/--no-json",
        "as_json",
        default=None,
        callback=lambda _context, _parameter, value: (
            not sys.stdout.isatty() if value is None else value
        ),
        help="Print JSON lines, or text. Default: text on a terminal, JSON in a pipe.",
    )
    return json(no_color_option(command))


def table_options(command: Decorated) -> Decorated:
    """Add the options of `json_option`, and `--wide`, which `print_rows` follows."""
    wide = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _parameter, value: context.meta.update({WIDE: value}),
        help="On a terminal: whole ids, exact times and every column.",
    )
    return wide(json_option(command))


def limit_option(help_text: str = "Show at most this many.") -> Callable[[Decorated], Decorated]:
    """The option `--limit`, from 1 to MAX_LIMIT."""
    return click.option(
        "--limit",
        default=100,
        show_default=True,
        type=click.IntRange(1, MAX_LIMIT),
        help=help_text,
    )


def no_color_option(command: Decorated) -> Decorated:
    """Add `--no-color`. The environment variable NO_COLOR has the same effect."""
    return click.option(
        "--no-color",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_forbid_colour,
        help="Print no colours, as with the variable NO_COLOR.",
    )(command)


def _forbid_colour(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.color = False


def print_json(value: object) -> None:
    """Print one JSON line and flush, so that the reader of a pipe has it at once."""
    click.echo(escape_json_controls(msgspec.json.encode(value).decode()))
    sys.stdout.flush()


def print_rows(
    columns: Sequence[Column], rows: Sequence[Row], *, as_json: bool, nothing: str = ""
) -> None:
    """Print rows as JSON lines, or as a table of these columns.

    `nothing` is what a terminal shows in place of a table without rows.
    """
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table(columns, rows, nothing=nothing)
