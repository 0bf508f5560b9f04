"""Showing what a stranger sent without the secrets that may be in it.

What is looked at is often wrong: members are misspelt, misplaced, or no JSON at all. So a member
of the storage's configuration is shown only when it is known to be harmless, anything whose name
tells of a secret is masked wherever it is, and a text that cannot be taken apart is shown only
when no such word is in it.
"""

import re
from typing import Any, Final

from recording_schemas import RtmpOutConfig, StorageConfig
from worker.settings.secret import REDACTED, redact_url

_HARMLESS: Final = {
    "storage": frozenset(StorageConfig.__struct_fields__) - {*StorageConfig.secret_members},
    "rtmp": frozenset(RtmpOutConfig.__struct_fields__) - {*RtmpOutConfig.secret_members},
}
"""The members that may be seen, by what the name of the object around them begins with."""

_TELLING: Final = re.compile(
    r"passw|pwd|passphrase|secret|token|credential|authori[sz]ation|signature|cookie"
    r"|(access|private|api|stream|shared|account)[^a-z]{0,2}key|^key$",
    re.IGNORECASE,
)
_SUSPICIOUS: Final = re.compile(rf"{_TELLING.pattern}|storage|rtmp|BEGIN [A-Z ]*KEY", re.IGNORECASE)
_STRUCTURED: Final = re.compile(r"[{}=:]")
_NOT_LETTERS: Final = re.compile(r"[^a-z]")


def redact_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value with `[secure]` in the place of what may be a secret."""
    match value:
        case dict():
            return {name: _member(str(name), inner) for name, inner in value.items()}
        case list():
            return [redact_json(inner) for inner in value]
        case str():
            return _string(value)
    return value


def redact_unparsed(text: str, *, shown: str | None = None) -> str:
    """The text, or what is `shown` for it; `[secure]` if it may hold a secret somewhere."""
    # JSON in UTF-16 has a NUL at every other place.
    if _SUSPICIOUS.search(text.replace("\0", "")):
        return REDACTED
    return text if shown is None else shown


def _member(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if value is None or isinstance(value, bool):
        return value
    if _TELLING.search(name):
        return REDACTED
    plain = _NOT_LETTERS.sub("", name.lower())
    if plain == "storageprofile":
        return value
    for beginning, harmless in _HARMLESS.items():
        if plain.startswith(beginning):
            return _only(harmless, value)
    return redact_json(value)


def _only(harmless: frozenset[str], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The object with its harmless members; anything else could hold anything."""
    if not isinstance(value, dict):
        return REDACTED
    return {
        name: redact_json(inner)
        if inner is None or (name in harmless and isinstance(inner, str | int | float))
        else REDACTED
        for name, inner in value.items()
    }


def _string(text: str) -> str:
    if _STRUCTURED.search(text) and _SUSPICIOUS.search(text):  # JSON in a string, a query
        return REDACTED
    return redact_url(text) if "://" in text else text
