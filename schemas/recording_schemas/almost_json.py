"""Reads the fields of an object with something that JSON forbids and other encoders write.

JavaScript writes half of a cut emoji as a lone surrogate, Python writes NaN. Such a message is
refused, but without its fields, its publisher would have no answer.
"""

import json
from typing import Final

import msgspec

MAX_BYTES: Final = 65_536
"""A text larger than a usual command is not searched, because this takes long."""


def almost_json_fields(text: bytes) -> dict[str, msgspec.Raw]:
    """The fields, still encoded, or none if the text is not even almost an object in JSON.

    Numbers become null.
    """
    if len(text) > MAX_BYTES:
        return {}
    try:
        fields = json.loads(text.decode(), parse_int=_null, parse_float=_null, parse_constant=_null)
        if not isinstance(fields, dict):
            return {}
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    except (ValueError, RecursionError):
        return {}


def _null(_number: str) -> None:
    """Numbers are not needed, and Python refuses to read very long ones."""
