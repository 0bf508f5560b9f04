"""One request to the API: attempts, and a decoded response or one of our errors.

The transport is called without an httpx client. So there are no cookies, no environment, no log
lines with our URLs, and less work per request. There are also no redirects, which would send the
token to another host.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple, TypeVar, cast
from urllib.parse import urlencode

import httpx
import msgspec

from worker.budget.budget import Budget
from worker.budget.priorities import RequestPriority
from worker.domain.errors import (
    AnswerLost,
    ApiError,
    DeadlinePassed,
    LeaseLost,
    OutcomeUnknown,
    Refused,
    RefusedForNow,
    Throttled,
    Unauthorized,
)
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.decoding.fields import Unreadable
from worker.realtimekit.error_mapping import (
    error_from_body_size,
    error_from_exception,
    error_from_status,
    error_from_unreadable_body,
)
from worker.realtimekit.http.content import unpacked_chunks
from worker.realtimekit.http.protocol import MAX_RESPONSE_BYTES, ResponseTooLarge
from worker.realtimekit.http.proxy import open_transport
from worker.realtimekit.http_dates import parse_http_date
from worker.realtimekit.models import (
    ApiRequest,
    ApiResponse,
    AttemptHook,
    HttpAttempt,
    UnknownStatusHook,
)
from worker.realtimekit.rate_limit_headers import parse_rate_limits
from worker.realtimekit.redaction import secrets_in
from worker.realtimekit.request_headers import RequestHeaders
from worker.realtimekit.response_redactor import ResponseRedactor
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.setting_hints import with_setting_hint
from worker.settings.proxies import Proxies

T = TypeVar("T")

BeforeSend = Callable[[], Awaitable[None]]
"""Awaited right before a request is sent. The request raises the same errors."""


class RequestHooks(NamedTuple):
    """`before_send` is awaited before each attempt. `on_answer_lost` is called after each attempt
    that may have been executed although it brought no usable answer."""

    before_send: BeforeSend | None = None
    on_answer_lost: Callable[[], None] | None = None


Decoder = Callable[[bytes | bytearray], T]
"""Makes a value of a response's body. Raises `Unreadable` when that is not possible."""

_PATH_WORDS = frozenset(
    {"", "recordings", "track", "sessions", "meetings", "participants", "webhooks"}
)
NO_HOOKS: Final = RequestHooks()


class ApiSession:
    """Sends requests to one app of the API.

    `base_url` includes the app, without a slash at its end. `timeout` is the total of one attempt
    in seconds. Connecting may take half of it. A connection that cannot be opened must fail before
    the attempt times out, because only then a POST is safe to repeat. `token` is called for every
    attempt. If the API does not accept the token, `refresh_token` is called. If that returns True,
    the request is made once more. Every attempt takes one token from `budget`, unless that is None.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Callable[[], str],
        refresh_token: Callable[[], bool],
        timeout: float,
        retry: RequestRetry,
        on_attempt: AttemptHook,
        on_unknown_status: UnknownStatusHook,
        budget: Budget | None,
        proxies: Proxies,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._base_url = base_url
        self._refresh_token = refresh_token
        self.unavailable_reason: str | None = None
        """Why the last attempt brought no usable response. None if it did, or was refused."""
        self._headers = RequestHeaders(token)
        self._redactor = ResponseRedactor(self._headers, on_unknown_status)
        self._server_time: tuple[datetime, float] | None = None
        self._timeout = timeout
        self._retry = retry
        self._on_attempt = on_attempt
        self._budget = budget
        self._transport = transport or open_transport(base_url, proxies)
        connect = timeout / 2
        self._extensions = {"timeout": {"connect": connect, "pool": connect, "read": None}}

    async def request(
        self,
        method: str,
        path: str,
        decode: Decoder[T],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        priority: RequestPriority,
        hooks: RequestHooks = NO_HOOKS,
    ) -> T:
        """The value that `decode` makes of a 2xx response's body.

        Tries again as long as that is safe. Raises the `ApiError`s of `worker.domain.errors`, and
        StoreUnavailable when the store of the budget fails.
        """
        url = _parse_url(f"{self._base_url}{path}" + (f"?{_encode(query)}" if query else ""))
        content = None if body is None else msgspec.json.encode(body)
        request = ApiRequest(method, path, url, content, secrets_in(body))
        self._redactor.remember(request.secrets)
        numbers = count(1)

        async def attempt() -> T:
            return await self._attempt(request, decode, priority, next(numbers), hooks)

        try:
            return await self._retry.call(attempt)
        except Unauthorized:
            if not self._refresh_token():
                raise
            return await self._retry.call(attempt)

    def server_time(self) -> datetime | None:
        """The API's present time, to a second, by its last response; None before that."""
        if self._server_time is None:
            return None
        date, received_at = self._server_time
        try:
            return date + timedelta(seconds=time.monotonic() - received_at)
        except OverflowError:  # the last day that datetime knows
            return date

    def receive(self, snapshot: RecordingSnapshot) -> RecordingSnapshot:
        """The snapshot without the token and all secrets that were sent, and of bounded length."""
        return self._redactor.receive(snapshot)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _attempt(
        self,
        request: ApiRequest,
        decode: Decoder[T],
        priority: RequestPriority,
        number: int,
        hooks: RequestHooks,
    ) -> T:
        """One attempt, with a token from the budget, reported to the hook and the budget."""
        budget = self._budget
        budget_token = (
            await budget.acquire(priority.priority, patient=priority.patient) if budget else None
        )
        started = time.perf_counter()
        try:
            if hooks.before_send is not None:
                await hooks.before_send()
            value = await self._send(request, decode, hooks.on_answer_lost)
        except (LeaseLost, DeadlinePassed):
            raise  # nothing was sent, so the hook and the budget get no report
        except ApiError as error:
            self._report(request, number, error, started)
            if budget and isinstance(error, Throttled):
                budget.pause(error.retry_after)
            raise
        finally:
            if budget and budget_token:
                budget.release(budget_token)
        self._report(request, number, None, started)
        if budget:
            budget.record_success()
        return value

    def _report(
        self, request: ApiRequest, number: int, error: ApiError | None, started: float
    ) -> None:
        self.unavailable_reason = (
            None
            if error is None or isinstance(error, Refused | RefusedForNow)
            else with_setting_hint(error)
        )
        seconds = time.perf_counter() - started
        template = path_template(request.path)
        self._on_attempt(HttpAttempt(request.method, template, request.url, number, error, seconds))

    async def _send(
        self, request: ApiRequest, decode: Decoder[T], on_answer_lost: Callable[[], None] | None
    ) -> T:
        """Send once. A call that is cancelled on its way may have been executed, too."""
        try:
            return await self._exchange_value(request, decode)
        except (AnswerLost, OutcomeUnknown, asyncio.CancelledError):
            if on_answer_lost is not None:
                on_answer_lost()
            raise

    async def _exchange_value(self, request: ApiRequest, decode: Decoder[T]) -> T:
        http_request = httpx.Request(
            request.method,
            request.url,
            headers=self._headers.for_content(request.content),
            # httpx takes a stream as it is, but inspects content to find out its headers.
            stream=httpx.ByteStream(request.content or b""),
            extensions=self._extensions,
        )
        response = await self._receive(http_request, request)
        try:
            if not 200 <= response.status < 300:
                raise error_from_status(response, self._redactor.with_all_secrets(request))
            return cast("T", self._redactor.receive_value(decode(response.body)))
        except Unreadable as error:
            request = self._redactor.with_all_secrets(request)
            raise error_from_unreadable_body(response, request, str(error)) from error
        finally:
            # The traceback of an error holds this frame, and retries hold errors in circles.
            response.body.clear()

    async def _receive(self, http_request: httpx.Request, request: ApiRequest) -> ApiResponse:
        failure: ApiError
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(http_request)
        except ResponseTooLarge as error:
            failure = error_from_body_size(error.status, request, MAX_RESPONSE_BYTES)
        except (httpx.HTTPError, OSError) as error:
            failure = error_from_exception(error, request)
        # Raised outside of `except`, without a cause: the errors of the libraries hold the request,
        # and with it the token.
        raise failure

    async def _exchange(self, http_request: httpx.Request) -> ApiResponse:
        response = await self._transport.handle_async_request(http_request)
        if (date := parse_http_date(response.headers.get("date", ""))) is not None:
            self._server_time = (date, time.monotonic())
        if self._budget and (limits := parse_rate_limits(response.headers)):
            self._budget.record_limits(limits)
        try:
            body = bytearray()
            async for chunk in unpacked_chunks(response):
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    raise ResponseTooLarge(response.status_code)
            return ApiResponse(response.status_code, response.headers, body)
        finally:
            await response.aclose()


@lru_cache(maxsize=256)
def _parse_url(text: str) -> httpx.URL:
    """Cached: parsing takes longer than all other work for a request here, and URLs repeat."""
    return httpx.URL(text)


@lru_cache(maxsize=256)
def path_template(path: str) -> str:
    """The path with `{id}` for each id in it."""
    return "/".join(word if word in _PATH_WORDS else "{id}" for word in path.split("/"))


def _encode(query: Mapping[str, str]) -> str:
    # The API documents several values as `a,b`, so the comma stays as it is.
    return urlencode(query, safe=",:")
