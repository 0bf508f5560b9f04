"""Completes the short ids that tables show, wherever an id is given on the command line."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

import click

from worker.cli.database import read_state
from worker.domain.escaping import escape_controls
from worker.domain.short_ids import ELLIPSIS, MIN_DIGITS, beginning, stands_for

if TYPE_CHECKING:
    from worker.settings.settings import CommonSettings
    from worker.store.admin.short_ids import IdKind

MAX_CANDIDATES: Final = 10
"""An error names at most this many ids."""


def complete(
    settings: "CommonSettings", flag: str, text: str | None, *kinds: "IdKind"
) -> str | None:
    """The whole id that `text` means, by the database.

    Returns `text` itself if it is not a short id, or abbreviates no id. Raises click.BadParameter
    with the candidates if it fits several, and StoreUnavailable.
    """
    from worker.store.admin.short_ids import find_whole_ids

    if text is None or beginning(text) is None:
        return text
    return pick(flag, text, read_state(settings, find_whole_ids, text, kinds))


def only_id_that_begins(settings: "CommonSettings", text: str, *kinds: "IdKind") -> str:
    """The only id that begins with `text`, from the first kind that has any; else `text`.

    Prints it on stderr. Only for commands that read and whose output is text: a script would take
    another id for the requested one. Raises StoreUnavailable.
    """
    from worker.store.admin.short_ids import find_whole_ids

    if len(text) < MIN_DIGITS or read_state(settings, find_whole_ids, text, kinds):
        return text
    for kind in kinds:
        if found := read_state(settings, find_whole_ids, text + ELLIPSIS, (kind,)):
            return _announce_if_single(found, text)
    return text


def _announce_if_single(found: Sequence[str], text: str) -> str:
    """The only id found, named on standard error because the user did not type it; else `text`."""
    if len(found) > 1:
        return text
    click.echo(f"No id is {escape_controls(text)}{candidates(found)}", err=True)
    return found[0]


def complete_if_readable(
    settings: "CommonSettings", flag: str, text: str | None, *kinds: "IdKind"
) -> str | None:
    """As `complete`, for commands that need no database: without one, `text` is the id."""
    from worker.domain.errors import StoreUnavailable

    try:
        return complete(settings, flag, text, *kinds)
    except StoreUnavailable as error:
        if text == beginning(str(text)):
            return text
        raise click.BadParameter(
            f"{text} is a short id, and the database that has the whole one cannot be read: "
            f"{error}",
            param_hint=flag,
        ) from error


def complete_among(flag: str, text: str, ids: Collection[str]) -> str:
    """The one of these ids that `text` means. Returns and raises as `complete`."""
    if text in ids:
        return text
    return pick(flag, text, {whole_id for whole_id in ids if stands_for(text, whole_id)})


def ids_that_begin(settings: "CommonSettings", text: str | None, *kinds: "IdKind") -> str:
    """The end of an error about the unknown id `text`: the ids that begin with it.

    Empty if there are none. Raises StoreUnavailable.
    """
    from worker.store.admin.short_ids import find_ids_that_begin

    if text is None:
        return ""
    return candidates(read_state(settings, find_ids_that_begin, text, kinds))


def candidates(found: Sequence[str]) -> str:
    """The end of an error about an unknown id, which is the beginning of these ids."""
    if not found:
        return ""
    more = " and more" if len(found) > MAX_CANDIDATES else ""
    begin = "One id begins" if len(found) == 1 else "Several ids begin"
    return f". {begin} with it: {', '.join(found[:MAX_CANDIDATES])}{more}"


def pick(flag: str, text: str, found: Collection[str]) -> str:
    """The only one of `found`, else `text`. Raises click.BadParameter if there are several."""
    if len(found) <= 1:
        return next(iter(found), text)
    named = ", ".join(sorted(found)[:MAX_CANDIDATES])
    more = " and more" if len(found) > MAX_CANDIDATES else ""
    raise click.BadParameter(f"{text} is short for several ids: {named}{more}", param_hint=flag)
