"""Decodes the status of a recording, including undocumented ones."""

import re
from typing import Final, NamedTuple

import msgspec

from recording_schemas import Status

ABSENT: Final = "(absent)"

_WORD: Final = re.compile(r"[\w .:/-]{1,40}", re.ASCII)
_JSON_TYPES: Final = {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}


class ReadStatus(NamedTuple):
    """The status of a recording.

    `unknown` is the API's value if it is not a documented one, else None. Then `status` is INVOKED:
    it is only certain that the recording exists.
    """

    status: Status
    unknown: str | None = None


def read_status(value: object) -> ReadStatus:
    """The status in a field. `value` is msgspec.UNSET if the field is absent."""
    if isinstance(value, str) and (status := Status.__members__.get(value)):
        return ReadStatus(status)
    return ReadStatus(Status.INVOKED, _shown(value))


def _shown(value: object) -> str:
    """A short text for a value that is not a status. Only a plain word is repeated."""
    if value is msgspec.UNSET:
        return ABSENT
    if value is None:
        return "null"
    if isinstance(value, str):
        if _WORD.fullmatch(value):
            return value
        return '""' if not value else f"a string of {len(value)} characters"
    return f"a JSON {_JSON_TYPES.get(type(value), 'object')}"
