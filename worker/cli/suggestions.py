"""Suggestions for misspelt words on the command line."""

from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import click


def suggestion(word: str, words: Collection[str]) -> str:
    """A sentence with the words that begin with this one or are similar, else with all of them."""
    longer = [each for each in words if len(word) > 1 and each.startswith(word)]
    if similar := longer or get_close_matches(word, words):
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
        words = [self.normalize_choice(choice, ctx) for choice in self.choices]
        return f"there is no {value!r}. {suggestion(self.normalize_choice(value, ctx), words)}"
