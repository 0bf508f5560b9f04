"""Reads the bodies of error responses: the API's, its gateway's, and those of programs between."""

import re
from typing import Any, Final, NamedTuple

import msgspec

from worker.realtimekit.decoding.fields import Unreadable, decode
from worker.realtimekit.models import ApiRequest, ApiResponse
from worker.realtimekit.redaction import redact

MAX_MESSAGE_LENGTH: Final = 500
MAX_PLAIN_BODY_LENGTH: Final = 65_536
MAX_TITLE_OFFSET: Final = 4_096

_TOO_MANY_RECORDINGS = re.compile(
    r"\b(?:concurrent(?:ly)?|simultaneous|parallel) (?:\w+ )?recordings?\b"
    r"|\brecordings? concurrency\b"
    r"|\btoo many (?:\w+ ){0,3}recordings\b"
    r"|\b(?:maximum|limit|quota)\b.{0,30}\brecordings\b.{0,30}\b(?:reached|exceeded)\b"
    r"|\brecordings? (?:limit|quota)\b.{0,30}\b(?:reached|exceeded)\b",
    re.IGNORECASE,
)
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)


class ErrorBody(NamedTuple):
    """The message and the codes in the body of an error response.

    `names_limit`: its text before redaction says that too many recordings run. `is_of_product`: the
    body has the product's envelope `error`, and not the gateway's `errors`. `is_object`: the body
    is a JSON object, as all errors of the API. `is_of_api`: it has one of its envelopes. `is_page`:
    the body is a web page.
    """

    message: str
    codes: tuple[int, ...]
    names_limit: bool
    is_of_product: bool = False
    is_object: bool = False
    is_of_api: bool = False
    is_page: bool = False


class _Envelope(msgspec.Struct):
    """`success`: false. `error`: an object or a text. `errors`: objects. `message`: a text, or
    texts. Nothing is certain."""

    success: Any = None
    error: Any = None
    errors: Any = None
    message: Any = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)


def read_error_body(response: ApiResponse, request: ApiRequest) -> ErrorBody:
    """The API's message and codes, from whichever of its envelopes the body has."""
    try:
        envelope = decode(response.body, _ENVELOPE)
    except Unreadable:
        is_page = response.body[:MAX_TITLE_OFFSET].lstrip().startswith(b"<")
        plain = _plain_text(response.body)
        return ErrorBody(clean_text(plain, request), (), _names_limit(plain), is_page=is_page)
    several = envelope.errors if isinstance(envelope.errors, list) else []
    errors = [error for error in (envelope.error, *several) if isinstance(error, dict)]
    text = "; ".join(text for error in errors for text in _texts(error.get("message")))
    if not text:
        # `error` may be the name of the status only. Then `message` says what is wrong.
        parts = ("; ".join(_texts(part)) for part in (envelope.error, envelope.message))
        text = ": ".join(filter(None, parts))
    return ErrorBody(
        clean_text(text or _plain_text(response.body), request),
        tuple(code for error in errors if (code := _code(error.get("code"))) is not None),
        _names_limit(text),
        is_of_product=isinstance(envelope.error, dict) and not envelope.errors,
        is_object=True,
        is_of_api=isinstance(envelope.error, dict) or envelope.success is False,
    )


def _texts(value: object) -> list[str]:
    """A text, or the texts in a list. Empty for every other value."""
    return [
        text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
    ]


def _code(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return int(value) if isinstance(value, int | float) and abs(value) < 1e9 else None


def _plain_text(body: bytearray) -> str:
    text = bytes(body[:MAX_PLAIN_BODY_LENGTH]).decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text[:MAX_TITLE_OFFSET])
        return title[1] if title else ""
    return text


def clean_text(text: str, request: ApiRequest) -> str:
    """The text in one line of at most 500 characters, without the request's secrets."""
    # Redact first: half a secret, or one without its line breaks, is not recognised.
    text = redact(text, request.secrets)[: MAX_MESSAGE_LENGTH * 4]
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:MAX_MESSAGE_LENGTH]


def _names_limit(text: str) -> bool:
    """Whether the API's text names the limit. A secret that was sent may be one of these words."""
    return _TOO_MANY_RECORDINGS.search(" ".join(text[:MAX_PLAIN_BODY_LENGTH].split())) is not None
