"""Turns msgspec's validation errors into sentences for the author of a publisher.

msgspec quotes some received values. The sentences never do, because a value may be a secret.
"""

import re
from difflib import get_close_matches
from typing import Final

import msgspec

from recording_schemas.rules import RuleBroken, field_names, in_words, type_at, written_path

_PATH: Final = re.compile(r" - at `(?:key` in `)?\$([\w.\[\]]*)`\Z")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`\Z")
MAX_NAME_LENGTH: Final = 100


def explain(error: msgspec.ValidationError, struct: type[msgspec.Struct]) -> RuleBroken:
    """The rule of `struct` that the decoded text broke, and the field that broke it."""
    text = str(error)
    at = _PATH.search(text)
    path = re.findall(r"\w+", at[1]) if at else []
    if isinstance(error.__cause__, RuleBroken):
        return error.__cause__.under(path)
    complaint = text[: at.start()] if at else text
    if missing := _MISSING.match(complaint):
        return RuleBroken("missing_field", missing[1], "is missing").under(path)
    if unknown := _UNKNOWN.match(complaint):
        known = field_names(type_at(struct, path))
        return _unknown_field(unknown[1], known).under(path)
    rule = in_words(type_at(struct, path))
    return RuleBroken("invalid_field", written_path(path) or None, f"must be {rule}")


def _unknown_field(name: str, known: list[str]) -> RuleBroken:
    printable_name = "".join(c if c.isprintable() else "?" for c in name[:MAX_NAME_LENGTH])
    similar = get_close_matches(printable_name, known, n=1)
    hint = f"; did you mean `{similar[0]}`?" if similar else ""
    return RuleBroken("unknown_field", printable_name, f"is not known{hint}")
