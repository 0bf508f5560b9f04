"""Texts on the command line."""

from collections.abc import Sequence
from typing import Final

import click

ELLIPSIS: Final = "…"
MAX_NAMED_PEOPLE: Final = 5
"""A text names this many people, and counts the rest."""


def utf8(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """The callback of a flag with a text. Refuses bytes that are not text: no database has them."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not valid UTF-8") from None
    return text


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """The number with its noun. `nouns` is an irregular plural."""
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"


def listed_people(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - MAX_NAMED_PEOPLE
    return ", ".join(names[:MAX_NAMED_PEOPLE]) + (f" and {more} more" if more > 0 else "")


def cells(text: str) -> int:
    """How many columns of a terminal the text takes. A Chinese letter takes two."""
    if text.isascii():
        return len(text)
    # Imported here because few texts need it.
    from rich.cells import cell_len

    return cell_len(text)


def cut_middle(text: str, width: int) -> str:
    """The text in at most `width` columns: its beginning and its end, such as a file's suffix."""
    if cells(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{_first(text, width - 1 - tail)}{ELLIPSIS}{_last(text, tail)}"


def cut_end(text: str, width: int) -> str:
    """The text in at most `width` columns: its beginning."""
    return text if cells(text) <= width else f"{_first(text, width - 1)}{ELLIPSIS}"


def _first(text: str, width: int) -> str:
    letters = text[:width]
    while cells(letters) > width:
        letters = letters[:-1]
    return letters


def _last(text: str, width: int) -> str:
    letters = text[len(text) - width :]
    while cells(letters) > width:
        letters = letters[1:]
    return letters
