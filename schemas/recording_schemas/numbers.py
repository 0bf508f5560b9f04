"""Reads `3600.0` and `3.6e3` as the whole number 3600, because JSON has one kind of number (RFC
8259)."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

_MAX_EXACT: Final = 2.0**53
"""Above this, two neighbouring whole numbers may be the same float."""

_MAX_VALUES: Final = 2_000
"""More values than any command has. A text with more is not a command and is not searched."""

_NUMBER: Final = re.compile(rb"[:,\[]\s*-?\d+(?:\.|[eE])")


def with_whole_numbers(text: bytes) -> bytes | None:
    """The JSON text with whole numbers written without a point or an exponent.

    None if it has no such number, cannot be decoded, or has more values than a command.
    """
    if not _NUMBER.search(text):
        return None
    try:
        value = msgspec.json.decode(text)
        changed = _whole(value, iter(range(_MAX_VALUES)))
        return None if changed is value else msgspec.json.encode(changed)
    except (ValueError, RecursionError, OverflowError, StopIteration):
        return None


def _whole(value: Any, left: Iterator[int]) -> Any:  # noqa: ANN401 - any JSON value
    """The value, itself if nothing in it changes. Raises StopIteration after too many values."""
    next(left)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_EXACT:
        return int(value)
    if isinstance(value, dict):
        fields = {name: _whole(item, left) for name, item in value.items()}
        is_same = all(fields[name] is value[name] for name in value)
        return value if is_same else fields
    if isinstance(value, list):
        items = [_whole(item, left) for item in value]
        is_same = all(new is old for new, old in zip(items, value, strict=True))
        return value if is_same else items
    return value
