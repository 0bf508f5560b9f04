"""Texts on the command line."""

from typing import Final

import click

ELLIPSIS: Final = "…"


def utf8(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """The callback of a flag with a text. Refuses bytes that are no text: no database has them."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not valid UTF-8") from None
    return text


def cut_middle(text: str, width: int) -> str:
    """The text in at most `width` letters: its beginning and its end, such as a file's suffix."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}{ELLIPSIS}{text[len(text) - tail :]}"


def cut_end(text: str, width: int) -> str:
    """The text in at most `width` letters: its beginning."""
    return text if len(text) <= width else f"{text[: width - 1]}{ELLIPSIS}"
