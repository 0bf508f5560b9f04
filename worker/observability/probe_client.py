"""Reads the readiness of a running worker over HTTP, for tools outside the worker."""

import http.client
from typing import Final
from urllib.parse import urlsplit

import msgspec

MAX_ANSWER_BYTES: Final = 262_144
_NOT_A_WORKER: Final = "the answer is not that of a worker"


class CheckAnswer(msgspec.Struct, frozen=True):
    """One check of a probe. `reason` says why it does not pass."""

    ok: bool
    reason: str | None = None


class Readiness(msgspec.Struct, frozen=True):
    """The answer of `GET /readyz`."""

    ok: bool
    checks: dict[str, CheckAnswer]


class ProbeFailed(Exception):
    """No worker answered. The text says why."""


_DECODER: Final = msgspec.json.Decoder(Readiness)


def fetch_readiness(base_url: str, *, timeout: float) -> Readiness:
    """The checks of the worker at `base_url`, an HTTP or HTTPS URL. Raises ProbeFailed.

    `timeout` bounds each step, in seconds: connecting, and each read.
    """
    parts = urlsplit(base_url)
    is_tls = parts.scheme == "https"
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        body = connection.getresponse().read(MAX_ANSWER_BYTES)
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProbeFailed(_NOT_A_WORKER) from None
    except OSError as error:
        raise ProbeFailed(error.strerror or str(error) or type(error).__name__) from error
    except http.client.HTTPException:
        raise ProbeFailed(_NOT_A_WORKER) from None
    finally:
        connection.close()
