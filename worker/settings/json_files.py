"""Decodes the JSON files that settings name, with errors that say where a file is wrong."""

import json
from typing import Final

MAX_SHOWN: Final = 80
"""How many characters of a name in the file an error may repeat."""


def decode_object(text: str, expected: str) -> dict[str, object]:
    """The JSON object in `text`, in which no object has a name twice.

    Raises:
        ValueError: begins with `expected`, or says which name is there twice. It repeats no value.
    """
    try:
        decoded = json.loads(text, object_pairs_hook=_object_without_repeats)
    except json.JSONDecodeError as error:
        raise ValueError(f"{expected}; line {error.lineno} is not valid JSON") from None
    except RecursionError:
        raise ValueError(expected) from None
    if isinstance(decoded, dict):
        return decoded
    raise ValueError(expected)


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"has {name[:MAX_SHOWN]!r} twice in one object; remove one")
        fields[name] = value
    return fields
