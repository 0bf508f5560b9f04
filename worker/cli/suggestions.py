"""Suggestions for misspelt words on the command line."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import click


def suggestion(word: str, words: Collection[str]) -> str:
    """A sentence with the words that begin with this one or are similar, else with all of them."""
    known = {each.casefold(): each for each in words}
    start = word.casefold()
    longer = [each for each in known if len(start) > 1 and each.startswith(start)]
    if found := longer or get_close_matches(start, known):
        similar = [known[each] for each in found]
        return f"Did you mean {' or '.join(map(repr, similar))}?"
    return f"It must be one of {', '.join(words)}."


class Choice(click.Choice[str]):
    """A choice whose error about an unknown word suggests similar ones."""

    def get_invalid_choice_message(
        self,
        value: Any,  # noqa: ANN401 - as click has it
        ctx: click.Context | None,
    ) -> str:
        """The text of the error."""
        return f"there is no {value!r}. {suggestion(str(value), self.choices)}"
