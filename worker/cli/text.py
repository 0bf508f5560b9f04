"""Texts on the command line."""

import click


def utf8(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """The callback of a flag with a text. Refuses bytes that are no text: no database has them."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter("it is not valid UTF-8") from None
    return text
