"""Refuses an object that has a field twice.

JSON leaves open which one counts (RFC 8259). If an object had `user_ids` twice, only the people of
one list would be recorded.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from recording_schemas.rules import RuleBroken, written_path

MAX_NAME_LENGTH: Final = 100


class _FieldTwice(Exception):
    """An object has a field twice."""


class _Fields(list[tuple[str, Any]]):
    """The fields of an object, in order."""


def check_unique_names(text: bytes) -> None:
    """Raise RuleBroken if an object in this valid JSON has a field twice."""
    try:
        _CHECK.decode(text.decode())
    except _FieldTwice:
        path = next(_paths_of_second_ones(_FIELDS.decode(text.decode()), []))
        raise RuleBroken("invalid_field", path, "must be given only once") from None
    except RecursionError:
        raise RuleBroken("too_deep", None, "the body is nested too deeply") from None


def _without_repeats(fields: list[tuple[str, Any]]) -> None:
    if len(dict(fields)) != len(fields):
        raise _FieldTwice


_CHECK: Final = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_int=float)
_FIELDS: Final = json.JSONDecoder(object_pairs_hook=_Fields, parse_int=float)
"""Whole numbers may have more digits than Python reads as an `int`."""


def _paths_of_second_ones(value: object, path: list[str]) -> Iterator[str]:
    """The path of each field that its object has already."""
    if isinstance(value, _Fields):
        names: set[str] = set()
        for name, item in value:
            here = [*path, _printable(name)]
            if name in names:
                yield written_path(here)
            names.add(name)
            yield from _paths_of_second_ones(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths_of_second_ones(item, [*path, str(index)])


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:MAX_NAME_LENGTH])
