"""What is told of each try of a request."""

from collections.abc import Callable
from typing import Final, NamedTuple

import httpx

from worker.domain.errors import ApiError

OK: Final = 200
"""What 2xx answers are told as: which of them it was makes no difference here."""
DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class HttpAttempt(NamedTuple):
    """One try of a request: of which `method` and `template` (the path, without what is different
    each time), to which `url`, the how manieth, how it failed if it did, and its seconds.
    """

    method: str
    template: str
    url: httpx.URL
    number: int
    error: ApiError | None
    seconds: float

    @property
    def operation(self) -> str:
        """Such as `GET /recordings/{id}`."""
        return f"{self.method} {self.template}"

    @property
    def failure(self) -> str | None:
        """The status or else the slug of its error, if it failed."""
        return str(self.error.http_status or self.error.code) if self.error else None

    def facts(self) -> dict[str, str | int]:
        """It in the words of OpenTelemetry's conventions for HTTP clients."""
        status = self.error.http_status if self.error else OK
        return {
            "http.request.method": self.method,
            "url.template": self.template,
            "url.full": str(self.url),
            "server.address": self.url.host,
            "server.port": self.url.port or DEFAULT_PORTS[self.url.scheme],
            **({"http.response.status_code": status} if status else {}),
            **({"http.request.resend_count": self.number - 1} if self.number > 1 else {}),
        }


AttemptHook = Callable[[HttpAttempt], None]
