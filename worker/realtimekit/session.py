"""One way to the API: a request out, a decoded answer or one of our errors back.

The transport is called without a client around it: no cookies, no redirects (they would take the
token along), no environment, no log lines with our addresses, and less work per request.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from worker.budget.budget import Budget
from worker.budget.priorities import RequestPriority
from worker.domain.errors import ApiError, Refused, Throttled, Unauthorized
from worker.realtimekit.decoding.fields import Unreadable
from worker.realtimekit.error_mapping import (
    Answer,
    Asked,
    answer_too_large,
    failed_answer,
    lost_answer,
    unreadable_answer,
)
from worker.realtimekit.http.protocol import LARGEST_ANSWER, TooLarge
from worker.realtimekit.http.transport import DEFAULT_PORTS, Transport
from worker.realtimekit.rate_limit_headers import read_limits
from worker.realtimekit.redaction import secrets_in
from worker.realtimekit.retry import RequestRetry

T = TypeVar("T")

ANY_SUCCESS: Final = 200
"""The status that traces show for every 2xx answer: the difference has no meaning here."""

Read = Callable[[bytes | bytearray], T]

_TOKEN = re.compile(r"[\x21-\x7e]+")
_HEADERS = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"gzip"),
    (b"User-Agent", b"recording-worker"),
)
_PATH_WORDS = frozenset({"", "recordings", "track", "sessions", "participants", "webhooks"})
_JSON = (b"Content-Type", b"application/json")


class HttpAttempt(NamedTuple):
    """One HTTP attempt: method, path template, URL, 1-based attempt number, error or None,
    duration in seconds.

    `path_template` is the path with `{id}` in place of each id, such as `/recordings/{id}`.
    """

    method: str
    path_template: str
    url: httpx.URL
    number: int
    error: ApiError | None
    seconds: float

    @property
    def operation(self) -> str:
        """Method and path template, such as `GET /recordings/{id}`."""
        return f"{self.method} {self.path_template}"

    @property
    def error_type(self) -> str | None:
        """The HTTP status of a failed attempt, else the code of its error; None on success."""
        return str(self.error.http_status or self.error.code) if self.error else None

    def span_attributes(self) -> dict[str, str | int]:
        """The attempt in OpenTelemetry's semantic conventions for HTTP clients."""
        status = self.error.http_status if self.error else ANY_SUCCESS
        return {
            "http.request.method": self.method,
            "url.template": self.path_template,
            "url.full": str(self.url),
            "server.address": self.url.host,
            "server.port": self.url.port or DEFAULT_PORTS[self.url.scheme],
            **({"http.response.status_code": status} if status else {}),
            **({"http.request.resend_count": self.number - 1} if self.number > 1 else {}),
        }


AttemptHook = Callable[[HttpAttempt], None]


class ApiSession:
    """Speaks to one app of the API.

    `base_url` goes up to and includes the app, without a slash at its end. `timeout` is the total
    of one attempt in seconds, half of which may go into connecting: a connection that could not
    be opened must be known as such before the attempt is over, for only then a POST is safe to
    repeat. The token is asked for at every attempt; when the API does not accept it, `renew` is
    called, and if that tells of a new one, the request is made once more with it. Every attempt
    takes one token from `budget`, unless that is None.
    """

    def __init__(
        self,
        *,
        base_url: str,
        token: Callable[[], str],
        renew: Callable[[], bool],
        timeout: float,
        retry: RequestRetry,
        on_attempt: AttemptHook,
        budget: Budget | None,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._base_url = base_url
        self._token = token
        self._renew = renew
        self.trouble: str | None = None
        """Why the last attempt got no answer of use; None when it got one, or a refusal."""
        self._date: tuple[datetime, float] | None = None
        self._prepared_for: str | None = None
        self._without_body = self._with_body = httpx.Headers()
        self._timeout = timeout
        self._retry = retry
        self._on_attempt = on_attempt
        self._budget = budget
        self._transport = transport or Transport()
        connect = timeout / 2
        self._extensions = {"timeout": {"connect": connect, "pool": connect, "read": None}}

    async def ask(
        self,
        method: str,
        path: str,
        read: Read[T],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        turn: RequestPriority,
    ) -> T:
        """What `read` makes of a 2xx answer's body, tried again as long as that is safe.

        `read` raises `Unreadable` for a body that it cannot use. Raises the errors of
        `worker.domain.errors` that concern the API.
        """
        asked = Asked(method, path, secrets_in(body))
        url = _url(f"{self._base_url}{path}" + (f"?{_encoded(query)}" if query else ""))
        content = None if body is None else msgspec.json.encode(body)
        numbers = count(1)

        async def attempt() -> T:
            return await self._attempt(asked, url, content, read, turn, next(numbers))

        try:
            return await self._retry.call(attempt)
        except Unauthorized:
            if not self._renew():
                raise
            return await self._retry.call(attempt)

    def clock(self) -> datetime | None:
        """What the API's clock shows now, to a second, by its last answer; None before that."""
        if self._date is None:
            return None
        told, tick = self._date
        try:
            return told + timedelta(seconds=time.monotonic() - tick)
        except OverflowError:  # the last day there is
            return told

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _attempt(
        self,
        asked: Asked,
        url: httpx.URL,
        content: bytes | None,
        read: Read[T],
        turn: RequestPriority,
        number: int,
    ) -> T:
        """One try, paid for, of which readiness, metrics and the budget hear."""
        budget = self._budget
        token = await budget.acquire(turn.priority, patient=turn.patient) if budget else None
        started = time.perf_counter()
        try:
            told = await self._one(asked, url, content, read)
        except ApiError as error:
            self._tell(asked, url, number, error, started)
            if budget and isinstance(error, Throttled):
                budget.pause(error.retry_after)
            raise
        finally:
            if budget and token:
                budget.release(token)
        self._tell(asked, url, number, None, started)
        return told

    def _tell(
        self, asked: Asked, url: httpx.URL, number: int, error: ApiError | None, started: float
    ) -> None:
        self.trouble = None if error is None or isinstance(error, Refused) else str(error)
        seconds = time.perf_counter() - started
        self._on_attempt(
            HttpAttempt(asked.method, _template(asked.path), url, number, error, seconds)
        )

    async def _one(self, asked: Asked, url: httpx.URL, content: bytes | None, read: Read[T]) -> T:
        request = httpx.Request(
            asked.method,
            url,
            headers=self._headers(content),
            # As a stream it is taken as it is; content is looked at to find out its headers.
            stream=httpx.ByteStream(content or b""),
            extensions=self._extensions,
        )
        answer = await self._answer(request, asked)
        try:
            if not 200 <= answer.status < 300:
                raise failed_answer(answer, asked)
            return read(answer.body)
        except Unreadable as error:
            raise unreadable_answer(answer, asked, str(error)) from error
        finally:
            # An error's traceback leads here, and who tries again holds errors in circles.
            answer.body.clear()

    async def _answer(self, request: httpx.Request, asked: Asked) -> Answer:
        failure: ApiError
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchanged(request)
        except TooLarge as error:
            failure = answer_too_large(error.status, asked, LARGEST_ANSWER)
        except (httpx.HTTPError, OSError) as error:
            failure = lost_answer(error, asked)
        # Raised out here, without a cause: the libraries' errors hold the request, and with it
        # the token.
        raise failure

    async def _exchanged(self, request: httpx.Request) -> Answer:
        response = await self._transport.handle_async_request(request)
        if (told := _date_of(response.headers.get("date", ""))) is not None:
            self._date = (told, time.monotonic())
        if self._budget and (limits := read_limits(response.headers)):
            self._budget.record_limits(limits)
        try:
            body = bytearray()
            async for piece in _pieces(response):
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise TooLarge(response.status_code)
            return Answer(response.status_code, response.headers, body)
        finally:
            await response.aclose()

    def _headers(self, content: bytes | None) -> httpx.Headers:
        token = self._token()
        if token != self._prepared_for:
            self._prepare_headers(token)
        return self._without_body if content is None else self._with_body

    def _prepare_headers(self, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise Unauthorized("unauthorized", "the API token is empty or holds no plain ASCII")
        common = [*_HEADERS, (b"Authorization", f"Bearer {token}".encode("ascii"))]
        self._without_body = httpx.Headers(common)
        self._with_body = httpx.Headers([*common, _JSON])
        self._prepared_for = token


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """Parsing one takes longer than all else that is done for a request here; a few are asked for
    again and again."""
    return httpx.URL(text)


def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body, decoded if it must be: most answers are too short to be compressed."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        return response.aiter_bytes()
    if encoding != "identity":  # packed twice, a kilobyte can become a gigabyte
        raise httpx.DecodingError("the answer is packed in a way that was not asked for")
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport's
    return aiter(response.stream)


@lru_cache(maxsize=4)
def _date_of(told: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(told)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


@lru_cache(maxsize=256)
def _template(path: str) -> str:
    """The path without what is different each time, such as `/recordings/{id}`."""
    return "/".join(word if word in _PATH_WORDS else "{id}" for word in path.split("/"))


def _encoded(query: Mapping[str, str]) -> str:
    # The API documents several values as `a,b`, so the comma stays as it is.
    return urlencode(query, safe=",:")
