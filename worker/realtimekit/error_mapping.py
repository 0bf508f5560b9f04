"""Maps statuses, bodies of errors and broken connections to our errors.

The question is whether the request was certainly not executed. A GET, PUT, PATCH or DELETE can
simply be sent again. The outcome of a POST that may have been executed is unknown.
"""

import re
from datetime import UTC, datetime
from typing import Final

import httpx

from worker.domain.errors import (
    AnswerLost,
    ApiError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Refused,
    RefusedForNow,
    Throttled,
    Unauthorized,
    Unavailable,
)
from worker.realtimekit.error_body import ErrorBody, clean_text, read_error_body
from worker.realtimekit.http.protocol import NO_HTTP_RESPONSE
from worker.realtimekit.http_dates import parse_http_date
from worker.realtimekit.models import ApiRequest, ApiResponse
from worker.realtimekit.retry import retry_after_seconds

THROTTLED_CODE: Final = 971
"""The error code with which the API throttles, with any status."""

MAX_RAY_LENGTH: Final = 64

_FIELD = re.compile(
    r'"([A-Za-z_]\w*(?:\.\w+|\[\d+\])*)"'
    r" (?:is|must|has|contains|with|fails|length|needs|does|cannot|can)\b"
)
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


NO_ROUTE_CODES: Final = frozenset({7000, 7003})
"""The error codes of Cloudflare's gateway for a URL that it does not pass on."""

TOKEN_CODES: Final = frozenset({6003, 6111, 9103, 9106, 9109, 10000})
"""The error codes of Cloudflare's gateway for a token that it does not accept, with any status. For
one that cannot be a token, such as a placeholder, that is 400 with 6003."""

_ABOUT_THE_REQUEST: Final = frozenset({400, 411, 413, 414, 415, 422, 431})
"""Statuses that refuse the request itself, whichever program on the way answers with them."""

_NOT_OF_GATEWAYS: Final = _ABOUT_THE_REQUEST | {408, 409}
"""Statuses of the API itself, whatever the form of its JSON. With other ones gateways answer, too,
for example 404 with `{"message":"no Route matched"}`."""


def error_from_status(response: ApiResponse, request: ApiRequest) -> ApiError:
    """The error for a response whose status is not 2xx."""
    body = read_error_body(response, request)
    return _error_of(response.status, body, response, request)


def error_from_unreadable_body(response: ApiResponse, request: ApiRequest, why: str) -> ApiError:
    """The error for a 2xx response that cannot be used. Its body may still report a failure."""
    body = read_error_body(response, request)
    status = next((code for code in body.codes if 400 <= code < 600), None)
    is_limit = _is_limit_of_recordings(body, request)
    if status is not None or THROTTLED_CODE in body.codes or is_limit:
        return _error_of(status or response.status, body, response, request)
    return _maybe_executed(request, "unreadable_response", why, response.status)


def error_from_body_size(status: int, request: ApiRequest, limit: int) -> ApiError:
    """The error for a response whose body was not read to its end."""
    message = f"the response is larger than {limit} bytes"
    return _maybe_executed(request, "response_too_large", message, status)


def error_from_exception(error: BaseException, request: ApiRequest) -> ApiError:
    """The error for a request that ended without a whole response."""
    if isinstance(error, _NOT_SENT):
        return Unavailable("connect_failed", f"no connection to the API: {_safe_text(error)}")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return _maybe_executed(request, "timeout", "the API did not respond in time")
    message = f"the response was lost: {_safe_text(error)}"
    return _maybe_executed(request, "connection_lost", message)


def _error_of(status: int, body: ErrorBody, response: ApiResponse, request: ApiRequest) -> ApiError:
    message = body.message or f"the API responded with status {status}"
    pause = _retry_after(response)
    if status == 403 and body.is_page and _is_start_call(request):
        return _blocked_by_firewall(message, response, request)
    not_executed = _not_executed(status, body, message, pause, request)
    if not_executed is not None:
        return not_executed
    if status == 408:
        return _maybe_executed(request, "timeout", message, status, pause)
    if 400 <= status < 500:
        return _refusal(status, message, request)
    if status >= 500:
        return _maybe_executed(request, "server_error", message, status, pause)
    message = f"the API responded with status {status}"
    return _maybe_executed(request, "unexpected_status", message, status)


def _blocked_by_firewall(message: str, response: ApiResponse, request: ApiRequest) -> RefusedForNow:
    """The error of a start that a firewall answers with its own web page, as Cloudflare's does.

    The firewall judges the content of the start, and not the token. So other requests may pass.
    """
    ray = clean_text(response.headers.get("cf-ray", "")[:MAX_RAY_LENGTH], request)
    text = f"a firewall in front of the API blocks this start: {message}"
    text += f" (CF-Ray {ray})" if ray else ""
    return RefusedForNow(
        "forbidden", text, http_status=response.status, retry_after=_retry_after(response)
    )


def _not_executed(
    status: int, body: ErrorBody, message: str, pause: float | None, request: ApiRequest
) -> Unavailable | None:
    """The error of a request that was certainly not executed, and may succeed later.

    A refusal by the product concerns the request. A refusal by the gateway concerns the token.
    """
    is_throttled = status == 429 or THROTTLED_CODE in body.codes
    is_of_product = body.is_of_product and THROTTLED_CODE not in body.codes
    if _is_limit_of_recordings(body, request) or (is_of_product and status == 429):
        return RefusedForNow("capacity", message, http_status=status, retry_after=pause)
    if is_of_product and status == 403:
        return RefusedForNow("forbidden", message, http_status=status, retry_after=pause)
    if is_throttled:
        return Throttled("throttled", message, http_status=status, retry_after=pause)
    if status in (401, 403) or (400 <= status < 500 and _is_about_token(body)):
        return Unauthorized("unauthorized", message, http_status=status)
    if status == 425:
        return Unavailable("too_early", message, http_status=status, retry_after=pause)
    if _is_of_another_program(status, body):
        # A proxy or the gateway has no way to the product. Its 404 is not that of a recording.
        text = f"a program in front of the API answered with status {status}: {message}"
        return Unavailable("unexpected_status", text, http_status=status, retry_after=pause)
    if 400 <= status < 500 and status not in _NOT_OF_GATEWAYS and not body.is_of_api:
        # Probably a gateway's. In case it is the API's after all, no other request waits for it.
        text = f"status {status} without the form of the API's errors: {message}"
        return RefusedForNow("unexpected_status", text, http_status=status, retry_after=pause)
    return None


def _is_about_token(body: ErrorBody) -> bool:
    return not body.is_of_product and not TOKEN_CODES.isdisjoint(body.codes)


def _is_of_another_program(status: int, body: ErrorBody) -> bool:
    if not 400 <= status < 500 or status == 408:
        return False
    has_no_route = not NO_ROUTE_CODES.isdisjoint(body.codes)
    return has_no_route or (status not in _ABOUT_THE_REQUEST and not body.is_object)


def _is_limit_of_recordings(body: ErrorBody, request: ApiRequest) -> bool:
    """Whether a start met the limit of concurrent recordings, by any status and envelope.

    Nothing was started, so the start is safe to repeat after another recording has ended.
    """
    return _is_start_call(request) and body.names_limit


def _is_start_call(request: ApiRequest) -> bool:
    return request.method == "POST" and request.path.startswith("/recordings")


def _refusal(status: int, message: str, request: ApiRequest) -> Refused:
    if status == 404:
        return NotFound("not_found", message, http_status=status)
    if status == 409:
        code = "already_recording" if _is_start_call(request) else "conflict"
        return Conflict(code, message, http_status=status)
    field = _FIELD.search(message) if status in (400, 422) else None
    return Refused(
        "invalid_field" if field else "bad_request",
        message,
        http_status=status,
        field=field[1] if field else None,
    )


def _maybe_executed(
    request: ApiRequest,
    code: str,
    message: str,
    status: int | None = None,
    retry_after: float | None = None,
) -> ApiError:
    error = OutcomeUnknown if request.method == "POST" else AnswerLost
    return error(code, message, http_status=status, retry_after=retry_after)


def _retry_after(response: ApiResponse) -> float | None:
    # A date is by the API's clock, which may differ from ours by any amount.
    now = parse_http_date(response.headers.get("date", "")) or datetime.now(UTC)
    return retry_after_seconds(response.headers.get("retry-after"), now=now)


def _safe_text(error: BaseException) -> str:
    # Some errors carry the request's headers in their text: of these only the class is safe.
    # These name the address, and the reason of the operating system or of the proxy.
    is_safe = isinstance(error, httpx.ConnectError | httpx.ProxyError)
    return str(error) if is_safe or str(error) == NO_HTTP_RESPONSE else type(error).__name__
