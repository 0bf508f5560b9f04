"""msgspec's complaint about a command, in words for the person who wrote the publisher.

msgspec quotes some received values; what is said here never does.
"""

import re
from difflib import get_close_matches
from typing import Final

import msgspec

from recording_schemas.rules import RuleBroken, in_words, member_names, type_at

_PATH: Final = re.compile(r" - at `\$([\w.\[\]]*)`\Z")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`\Z")
_LONGEST_NAME: Final = 100


def explain(error: msgspec.ValidationError, struct: type[msgspec.Struct]) -> RuleBroken:
    """Which rule of `struct` the decoded text broke, and at which member."""
    text = str(error)
    at = _PATH.search(text)
    path = re.findall(r"\w+", at[1]) if at else []
    if isinstance(error.__cause__, RuleBroken):
        return error.__cause__.under(path)
    said = text[: at.start()] if at else text
    if missing := _MISSING.match(said):
        return RuleBroken("missing_member", missing[1], "is missing").under(path)
    if unknown := _UNKNOWN.match(said):
        known = member_names(type_at(struct, path))
        return _unknown_member(unknown[1], known).under(path)
    rule = in_words(type_at(struct, path))
    return RuleBroken("invalid_member", ".".join(path) or None, f"must be {rule}")


def _unknown_member(name: str, known: list[str]) -> RuleBroken:
    shown = "".join(c if c.isprintable() else "?" for c in name[:_LONGEST_NAME])
    meant = get_close_matches(shown, known, n=1)
    hint = f"; did you mean `{meant[0]}`?" if meant else ""
    return RuleBroken("unknown_member", shown, f"is not known{hint}")
