"""Redacts a message from an unknown sender, for `dead show`.

The other two redactions know the secrets: `worker.realtimekit.redaction` removes those of a request
from the API's answer, and `worker.observability.log_redaction` those of the settings from log
lines. Here the secrets are unknown, and the message is often wrong: fields are misspelt or
misplaced, or the body is not JSON at all. Hence three rules:

- A field of a storage configuration shows only when it is known to be harmless.
- A field whose name suggests a secret never shows.
- A text that cannot be parsed shows only when it contains no suspicious word, in no usual encoding.
"""

import base64
import html
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

from recording_schemas import RtmpOutConfig, StorageConfig
from worker.observability.log_redaction import redact_text
from worker.settings.secret import REDACTED, redact_url

_HARMLESS_FIELDS: Final = {
    "storage": frozenset(StorageConfig.__struct_fields__) - {*StorageConfig.secret_fields},
    "rtmp": frozenset(RtmpOutConfig.__struct_fields__) - {*RtmpOutConfig.secret_fields},
}
"""Fields that may show, by a part of the name of the object that contains them."""

_SECRET_NAME: Final = re.compile(
    r"passw|pwd|passphrase|secret|token|credential|authori[sz]ation|signature|cookie"
    r"|(access|private|api|stream|shared|account)[^a-z]{0,2}key|^(key|pass|auth|sas)$",
    re.IGNORECASE,
)
_SUSPICIOUS_TEXT: Final = re.compile(
    rf"{_SECRET_NAME.pattern}|storage|rtmp|BEGIN [A-Z ]*KEY", re.IGNORECASE
)
_STRUCTURED_TEXT: Final = re.compile(r"[{}=:]")
_PRIVATE_KEY: Final = re.compile(r"BEGIN [A-Z ]*KEY")
_JSON_ESCAPE: Final = re.compile(r"\\u00([0-7][0-9A-Fa-f])")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
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


def redact_unparsed(text: str, *, safe_form: str | None = None) -> str:
    """`[secure]` if the text may contain a secret, else `safe_form`, by default the text itself."""
    if any(_SUSPICIOUS_TEXT.search(reading) for reading in _readings(text)):
        return REDACTED
    return text if safe_form is None else safe_form


def _redact_field(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name):
        return REDACTED
    letters = _NOT_LETTERS.sub("", name.lower())
    if letters == "storageprofile":
        return value
    for part, harmless in _HARMLESS_FIELDS.items():
        if part in letters:
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
    if _PRIVATE_KEY.search(text) or any(map(_may_hold_secret, _readings(text))):
        return REDACTED
    return redact_text(redact_url(text) if "://" in text else text)


def _may_hold_secret(text: str) -> bool:
    """Whether it is JSON, a query or the like with a suspicious word."""
    return bool(_STRUCTURED_TEXT.search(text) and _SUSPICIOUS_TEXT.search(text))


def _readings(text: str) -> Iterator[str]:
    """The text itself, the text without the usual escapes, and its Base64 parts decoded."""
    text = text.replace("\0", "")  # JSON in UTF-16 has one in every second place
    yield text
    plain = _JSON_ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    yield html.unescape(unquote(plain))
    for run in _BASE64.finditer(text.replace("\n", "").replace("\r", "")):
        letters = run[0].translate(_URL_SAFE)
        for start in range(4):  # it may follow letters that do not belong to it
            quanta = letters[start:]
            decoded = base64.b64decode(quanta + "A" * (-len(quanta) % 4))
            yield decoded.decode("latin-1").replace("\0", "")
