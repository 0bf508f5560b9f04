"""The flags that select letters, shared by the subcommands of `dead`."""

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, Final

import click
import msgspec

from recording_schemas import COMMAND_TYPES
from worker.cli.dead.selection import Selection
from worker.cli.suggestions import Choice
from worker.cli.times import time_or_age

Function = Callable[..., Any]

_FILTERS: Final = (
    click.option(
        "--reason",
        "reasons",
        multiple=True,
        metavar="CODE",
        help="Only letters with this reason code, such as unknown_type; may be repeated.",
    ),
    click.option(
        "--type",
        "types",
        multiple=True,
        type=Choice([*COMMAND_TYPES, "unknown"]),
        help="Only commands of this type; may be repeated.",
    ),
    click.option(
        "--before",
        metavar="TIME",
        callback=time_or_age,
        help="Only letters that were dead-lettered before this time.",
    ),
)
_CHANGE_FLAGS: Final = (
    click.option("--all", "select_all", is_flag=True, help="Select all letters."),
    click.option(
        "--limit", type=click.IntRange(min=1), help="Act on at most this many, oldest first."
    ),
    click.option("--dry-run", is_flag=True, help="Only show what would be done."),
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The letters that `replay` or `drop` will change."""

    selection: Selection
    limit: int | None
    dry_run: bool


def filter_options(function: Function) -> Function:
    """Add --reason, --type and --before, and pass them to the command as `selection`."""

    def with_selection(
        *args: object,
        reasons: tuple[str, ...],
        types: tuple[str, ...],
        before: float | None,
        **others: object,
    ) -> object:
        selection = Selection(reasons=frozenset(reasons), types=frozenset(types), before=before)
        return function(*args, selection=selection, **others)

    return _add(_FILTERS, update_wrapper(with_selection, function))


def change_options(function: Function) -> Function:
    """Add the arguments of `replay` and `drop`, and pass them to the command as `change`."""

    def with_change(
        *args: object,
        selection: Selection,
        letters: tuple[str, ...],
        select_all: bool,
        limit: int | None,
        dry_run: bool,
        **others: object,
    ) -> object:
        selection = msgspec.structs.replace(selection, handles=frozenset(letters))
        _require_one_way(selection, select_all=select_all)
        change = Change(selection=selection, limit=limit, dry_run=dry_run)
        return function(*args, change=change, **others)

    with_flags = _add(_CHANGE_FLAGS, update_wrapper(with_change, function))
    return click.argument("letters", nargs=-1, metavar="[LETTER]...")(filter_options(with_flags))


def _require_one_way(selection: Selection, *, select_all: bool) -> None:
    ways = [bool(selection.handles), selection.has_filters, select_all]
    if ways.count(True) != 1:
        raise click.UsageError(
            "select the letters in one way: by name, by --reason, --type and --before, or by --all"
        )


def _add(options: Sequence[Callable[[Function], Function]], function: Function) -> Function:
    # Decorators apply from the bottom up: the first option comes first in the help.
    for option in reversed(options):
        function = option(function)
    return function
