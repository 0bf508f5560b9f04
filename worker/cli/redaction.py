"""Redacts a message from an unknown sender, for `dead show`.

The other two redactions know the secrets: `worker.realtimekit.redaction` removes those of a request
from the API's answer, and `worker.observability.log_redaction` those of the settings from log
lines. Here nothing is known, and the message is often wrong: fields are misspelt or misplaced, or
the body is not JSON at all. Hence three rules:

- A field of a storage configuration shows only when it is known to be harmless.
- A field whose name suggests a secret never shows.
- A text that cannot be parsed shows only when it contains no suspicious word.
"""

import re
from typing import Any, Final

from recording_schemas import RtmpOutConfig, StorageConfig
from worker.settings.secret import REDACTED, redact_url

_HARMLESS_FIELDS: Final = {
    "storage": frozenset(StorageConfig.__struct_fields__) - {*StorageConfig.secret_fields},
    "rtmp": frozenset(RtmpOutConfig.__struct_fields__) - {*RtmpOutConfig.secret_fields},
}
"""Fields that may show, by the beginning of the name of the object that contains them."""

_SECRET_NAME: Final = re.compile(
    r"passw|pwd|passphrase|secret|token|credential|authori[sz]ation|signature|cookie"
    r"|(access|private|api|stream|shared|account)[^a-z]{0,2}key|^key$",
    re.IGNORECASE,
)
_SUSPICIOUS_TEXT: Final = re.compile(
    rf"{_SECRET_NAME.pattern}|storage|rtmp|BEGIN [A-Z ]*KEY", re.IGNORECASE
)
_STRUCTURED_TEXT: Final = re.compile(r"[{}=:]")
_NOT_LETTERS: Final = re.compile(r"[^a-z]")


def redact_json(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value with `[secure]` in place of everything that may be a secret."""
    match value:
        case dict():
            return {name: _redact_field(str(name), inner) for name, inner in value.items()}
        case list():
            return [redact_json(inner) for inner in value]
        case str():
            return _redact_string(value)
    return value


def redact_unparsed(text: str, *, shown: str | None = None) -> str:
    """`[secure]` when the text may contain a secret; else `shown`, by default the text itself."""
    # Without NULs, because JSON in UTF-16 has one in every second place.
    if _SUSPICIOUS_TEXT.search(text.replace("\0", "")):
        return REDACTED
    return text if shown is None else shown


def _redact_field(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name):
        return REDACTED
    letters = _NOT_LETTERS.sub("", name.lower())
    if letters == "storageprofile":
        return value
    for beginning, harmless in _HARMLESS_FIELDS.items():
        if letters.startswith(beginning):
            return _redact_all_but(harmless, value)
    return redact_json(value)


def _redact_all_but(harmless: frozenset[str], value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The object with only its harmless fields in clear. Another value may contain anything."""
    if not isinstance(value, dict):
        return REDACTED
    return {
        name: redact_json(inner) if _may_show(name, inner, harmless) else REDACTED
        for name, inner in value.items()
    }


def _may_show(name: str, value: object, harmless: frozenset[str]) -> bool:
    return value is None or (name in harmless and isinstance(value, str | int | float))


def _redact_string(text: str) -> str:
    # JSON inside a string, or a query.
    if _STRUCTURED_TEXT.search(text) and _SUSPICIOUS_TEXT.search(text):
        return REDACTED
    return redact_url(text) if "://" in text else text
