"""The headers of every request, with the API token."""

import re
from collections.abc import Callable

import httpx

from worker.domain.errors import Unauthorized

_API_TOKEN_PATTERN = re.compile(r"[\x21-\x7e]+")
_JSON = (b"Content-Type", b"application/json")
_HEADERS = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"gzip"),
    (b"User-Agent", b"recording-worker"),
)


class RequestHeaders:
    """Makes headers anew only when the token has changed. `api_token` is called each time."""

    def __init__(self, api_token: Callable[[], str]) -> None:
        self._api_token = api_token
        self._without_body = self._with_body = httpx.Headers()
        self.last_token: str | None = None
        """The token of the last request; None before the first."""

    def for_content(self, content: bytes | None) -> httpx.Headers:
        """The headers of a request with this body. Raises Unauthorized if the token is unusable."""
        token = self._api_token()
        if token != self.last_token:
            self._prepare(token)
        return self._without_body if content is None else self._with_body

    def _prepare(self, token: str) -> None:
        if not _API_TOKEN_PATTERN.fullmatch(token):
            raise Unauthorized("unauthorized", "the API token is empty or not plain ASCII")
        common = [*_HEADERS, (b"Authorization", f"Bearer {token}".encode("ascii"))]
        self._without_body = httpx.Headers(common)
        self._with_body = httpx.Headers([*common, _JSON])
        self.last_token = token
