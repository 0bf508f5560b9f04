"""Refuses an object that has a field twice.

JSON leaves open which one counts (RFC 8259). If an object had `user_ids` twice, only the people of
one list would be recorded.
"""

import json
from typing import Any, Final

from recording_schemas.rules import RuleBroken, written_path

MAX_NAME_LENGTH: Final = 100
MAX_STEPS: Final = 10
"""A path is cut behind this many fields and places. The fields of a command are less deep."""


class _FieldTwice(Exception):
    """An object has a field twice."""


class _Fields(list[tuple[str, Any]]):
    """The fields of an object, in order."""


def check_unique_names(text: bytes) -> None:
    """Raise RuleBroken if an object in this valid JSON has a field twice."""
    try:
        path = _path_of_second_one(text.decode())
    except RecursionError:
        raise RuleBroken("too_deep", None, "the body is nested too deeply") from None
    if path is not None:
        raise RuleBroken("invalid_field", path, "must be given only once")


def _path_of_second_one(text: str) -> str | None:
    """Where an object has a field for the second time. None if each has its fields once."""
    try:
        _CHECK.decode(text)
    except _FieldTwice:
        steps: list[str] = []
        _find_second_one(_FIELDS.decode(text), steps)
        return written_path(steps[:MAX_STEPS]) + ("…" if len(steps) > MAX_STEPS else "")
    return None


def _without_repeats(fields: list[tuple[str, Any]]) -> None:
    if len(dict(fields)) != len(fields):
        raise _FieldTwice


_CHECK: Final = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_int=float)
_FIELDS: Final = json.JSONDecoder(object_pairs_hook=_Fields, parse_int=float)
"""Whole numbers may have more digits than Python reads as an `int`."""


def _find_second_one(value: object, steps: list[str]) -> bool:
    """Append the steps to the first field that its object has already."""
    if not isinstance(value, list):
        return False
    items = value if isinstance(value, _Fields) else enumerate(value)
    names: set[object] = set()
    for name, item in items:
        steps.append(_printable(str(name)))
        if name in names or _find_second_one(item, steps):
            return True
        steps.pop()
        names.add(name)
    return False


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:MAX_NAME_LENGTH])
