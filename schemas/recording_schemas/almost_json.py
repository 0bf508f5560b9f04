"""Reads the fields of a text that is not quite JSON, or nested too deeply for a decoder.

JavaScript writes half of a cut emoji as a lone surrogate, Python writes NaN, and some programs
write another encoding than UTF-8. Such a message is refused, but without its fields, its publisher
would have no answer.
"""

import json
import re
from typing import Final

import msgspec

MAX_BYTES: Final = 65_536
"""A text larger than a usual command is not searched, because this takes long."""

MAX_DEPTH: Final = 50
"""Deeper objects and lists are not read. A command, even in a CloudEvent, is flatter."""

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)|[^"\[\]{}]+|.', re.DOTALL)
"""A text without its end reaches to the end of all, so that the search takes linear time."""


def almost_json_fields(text: bytes) -> dict[str, msgspec.Raw]:
    """The fields, still encoded, or none if the text is not even almost an object in JSON.

    Numbers, and objects and lists below `MAX_DEPTH`, become null. A byte that is not UTF-8 becomes
    a lone surrogate, so a text with such a byte stays invalid.
    """
    if len(text) > MAX_BYTES:
        return {}
    try:
        flat = _without_depths(text.decode(json.detect_encoding(text), "surrogateescape"))
        fields = json.loads(flat, parse_int=_null, parse_float=_null, parse_constant=_null)
        if not isinstance(fields, dict):
            return {}
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    except (ValueError, RecursionError):
        return {}


def _without_depths(text: str) -> str:
    """The text, with null in place of each object and list below `MAX_DEPTH`."""
    kept: list[str] = []
    depth = 0
    for token in _TOKEN.findall(text):
        if token in {"[", "{"}:
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append("null")
        if depth <= MAX_DEPTH:
            kept.append(token)
        if token in {"]", "}"}:
            depth -= 1
    return "".join(kept)


def _null(_number: str) -> None:
    """Numbers are not needed, and Python refuses to read very long ones."""
