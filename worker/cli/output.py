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
    "MAX_LIMIT", "Column", "Decorated", "Row", "details_options", "json_option", "limit_option",
    "no_color_option", "object_option", "print_json", "print_object", "print_rows",
    "table_options",
]  # fmt: skip

Decorated = TypeVar("Decorated", bound=Callable[..., object])

MAX_LIMIT: Final = 100_000


_INDENT: Final = "indent"
"""The key in click's `meta` of whether `print_object` indents."""


def json_option(command: Decorated) -> Decorated:
    """Add `--no-color`, and `--json/--no-json` as `as_json`. Its default for pipes is JSON."""
    text = "Print JSON lines, or text. Default: text on a terminal, JSON in a pipe."
    return _with_json(command, text)


def object_option(command: Decorated) -> Decorated:
    """As `json_option`, for a command that prints one object with `print_object`."""
    text = "Print JSON in one line, or text. Default: text on a terminal, indented JSON in a pipe."
    return _with_json(command, text)


def _with_json(command: Decorated, help_text: str) -> Decorated:
    json = click.option(
        "--json/--no-json", "as_json", default=None, callback=_choose_json, help=help_text
    )
    return json(no_color_option(command))


def _choose_json(context: click.Context, _parameter: click.Parameter, value: bool | None) -> bool:
    context.meta[_INDENT] = value is None
    return not sys.stdout.isatty() if value is None else value


def table_options(command: Decorated) -> Decorated:
    """Add the options of `json_option`, and `--wide`, which `print_rows` follows."""
    return _with_wide(json_option(command))


def details_options(command: Decorated) -> Decorated:
    """Add the options of `object_option`, and `--wide`."""
    return _with_wide(object_option(command))


def _with_wide(command: Decorated) -> Decorated:
    wide = click.option(
        "--wide",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _parameter, value: context.meta.update({WIDE: value}),
        help="On a terminal: whole ids, exact times and every column.",
    )
    return wide(command)


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


def print_object(value: object) -> None:
    """Print one JSON object: in one line with `--json`, else indented, for `grep` and for files."""
    text = escape_json_controls(msgspec.json.encode(value).decode())
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_INDENT):
        text = msgspec.json.format(text, indent=2)
    click.echo(text)


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
