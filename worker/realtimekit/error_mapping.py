"""What a failed call means for us: from statuses, bodies and broken connections to our errors.

What decides is whether the request was surely not executed. A GET, PUT, PATCH or DELETE can
simply be sent again; of a POST that may have been executed the outcome is unknown.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import msgspec

from worker.domain.errors import (
    ApiError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Refused,
    Throttled,
    Unauthorized,
    Unavailable,
)
from worker.realtimekit.redaction import without_secrets
from worker.realtimekit.retry import retry_after_seconds

_THROTTLING = 971
_LONGEST_MESSAGE = 500
_LONGEST_PLAIN_BODY = 65_536
_TITLE_STANDS_WITHIN = 4_096
_TITLE = re.compile(r"<title[^>]*>([^<]*)</title", re.IGNORECASE)
_MEMBER = re.compile(
    r'"([A-Za-z_]\w*(?:\.\w+|\[\d+\])*)"'
    r" (?:is|must|has|contains|with|fails|length|needs|does|cannot|can)\b"
)
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
)


class Asked(NamedTuple):
    """What was asked: enough to judge a failure. `secrets` are kept out of its words."""

    method: str
    path: str
    secrets: tuple[str, ...] = ()


class Answer(NamedTuple):
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


class _Said(NamedTuple):
    words: str
    codes: tuple[int, ...]


class _Error(msgspec.Struct):
    code: Any = None
    message: Any = None


class _Failure(msgspec.Struct):
    error: _Error | str | None = None
    errors: list[_Error | None] | None = None
    message: Any = None


_FAILURE = msgspec.json.Decoder(_Failure, strict=False)


def failed_answer(answer: Answer, asked: Asked) -> ApiError:
    """The error for an answer whose status is not 2xx."""
    said = _said(answer, asked)
    return _judged(answer.status, said, answer, asked)


def unreadable_answer(answer: Answer, asked: Asked, why: str) -> ApiError:
    """The error for a 2xx answer that cannot be used; its body may still tell of a failure."""
    said = _said(answer, asked)
    status = next((code for code in said.codes if 400 <= code < 600), None)
    if status is not None or _THROTTLING in said.codes:
        return _judged(status or answer.status, said, answer, asked)
    return _unsure(asked, "unreadable_answer", why, answer.status)


def answer_too_large(status: int, asked: Asked, limit: int) -> ApiError:
    """The error for an answer whose body was not read to its end."""
    return _unsure(asked, "answer_too_large", f"the answer is larger than {limit} bytes", status)


def lost_answer(error: BaseException, asked: Asked) -> ApiError:
    """The error for a call that ended without a whole answer."""
    if isinstance(error, _NOT_SENT):
        return Unavailable("connect_failed", f"no connection to the API: {_reason(error)}")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return _unsure(asked, "timeout", "the API did not answer in time")
    return _unsure(asked, "connection_lost", f"the answer was lost: {_reason(error)}")


def _judged(status: int, said: _Said, answer: Answer, asked: Asked) -> ApiError:
    words = said.words or f"the API answered {status}"
    if status == 429 or _THROTTLING in said.codes:
        pause = _retry_after(answer)
        return Throttled("throttled", words, http_status=status, retry_after=pause)
    if status in (401, 403):
        return Unauthorized("unauthorized", words, http_status=status)
    if status == 408:
        return _unsure(asked, "timeout", words, status, _retry_after(answer))
    if status == 425:
        return Unavailable("too_early", words, http_status=status, retry_after=_retry_after(answer))
    if 400 <= status < 500:
        return _refused(status, words, asked)
    if status >= 500:
        return _unsure(asked, "server_error", words, status, _retry_after(answer))
    return _unsure(asked, "unexpected_status", f"the API answered {status}", status)


def _refused(status: int, words: str, asked: Asked) -> Refused:
    if status == 404:
        return NotFound("not_found", words, http_status=status)
    if status == 409:
        starts = asked.method == "POST" and asked.path.startswith("/recordings")
        code = "already_recording" if starts else "conflict"
        return Conflict(code, words, http_status=status)
    member = _MEMBER.search(words) if status in (400, 422) else None
    return Refused(
        "invalid_member" if member else "bad_request",
        words,
        http_status=status,
        field=member[1] if member else None,
    )


def _unsure(
    asked: Asked,
    code: str,
    words: str,
    status: int | None = None,
    retry_after: float | None = None,
) -> ApiError:
    kind = OutcomeUnknown if asked.method == "POST" else Unavailable
    return kind(code, words, http_status=status, retry_after=retry_after)


def _said(answer: Answer, asked: Asked) -> _Said:
    """The API's own words and numbers, whichever of its envelopes they came in."""
    try:
        failure = _FAILURE.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Said(_clean(_plain_words(answer.body), asked), ())
    single = [failure.error] if isinstance(failure.error, _Error) else []
    errors = [*single, *(error for error in failure.errors or () if error)]
    words = [error.message for error in errors]
    if not any(words):
        words = [failure.error if isinstance(failure.error, str) else failure.message]
    return _Said(
        _clean("; ".join(word for word in words if isinstance(word, str)), asked),
        tuple(code for error in errors if (code := _code(error.code)) is not None),
    )


def _code(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return int(value) if isinstance(value, int | float) and abs(value) < 1e9 else None


def _plain_words(body: bytearray) -> str:
    words = bytes(body[:_LONGEST_PLAIN_BODY]).decode("utf-8", "replace")
    if words.lstrip().startswith("<"):
        title = _TITLE.search(words[:_TITLE_STANDS_WITHIN])
        return title[1] if title else ""
    return words


def _clean(words: str, asked: Asked) -> str:
    # First of all, for neither half of a secret nor one with its line breaks gone is recognised.
    words = without_secrets(words, asked.secrets)[: _LONGEST_MESSAGE * 4]
    words = "".join(letter if letter.isprintable() else " " for letter in words)
    return " ".join(words.split())[:_LONGEST_MESSAGE]


def _retry_after(answer: Answer) -> float | None:
    return retry_after_seconds(answer.headers.get("retry-after"), now=datetime.now(UTC))


def _reason(error: BaseException) -> str:
    # Of other errors only the class is safe to tell: some carry the request's headers.
    # Those of a connection that was not made name the address and what the system says of it.
    return str(error) if isinstance(error, httpx.ConnectError) else type(error).__name__
