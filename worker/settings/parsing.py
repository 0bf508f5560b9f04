"""From the text of a variable to its value: each parser names what it wants when it raises.

No message repeats a text that may be secret.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from worker.domain.rate import Rate
from worker.settings.storage_profiles import StorageProfiles

Parser = Callable[[str], object]
Choice = TypeVar("Choice", bound=str)

_HEADER = re.compile(r"[!#$%&'*+.^`|~\w-]+=[ !#-+\--:<-\[\]-~]*", re.ASCII)
_FIELD = re.compile(r"[ -~]*")
_CERTIFICATES = ("cafile", "certfile", "keyfile")


def whole(low: int, high: int, unit: str) -> Callable[[str], int]:
    """A whole number of `unit` within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number of {unit} from {low} to {high}, not {text!r}")
        return int(text)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Seconds within bounds; fractions are allowed."""

    def parse(text: str) -> float:
        value = _number(text)
        if value is None or not low <= value <= high:
            raise ValueError(f"must be seconds from {low:g} to {high:g}, not {text!r}")
        return value

    return parse


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?|\.[0-9]{1,6}", text) else None


def growing_seconds(most: int, low: float, high: float) -> Callable[[str], tuple[float, ...]]:
    """Up to `most` numbers of seconds between commas, each larger than the one before."""

    def parse(text: str) -> tuple[float, ...]:
        one = seconds(low, high)
        steps = tuple(one(part.strip()) for part in text.split(","))
        if len(steps) > most:
            raise ValueError(f"must be at most {most} steps, not {len(steps)}")
        if any(after <= before for before, after in pairwise(steps)):
            raise ValueError(f"must grow from step to step, not {text!r}")
        return steps

    return parse


def rates(text: str) -> tuple[Rate, ...]:
    """`requests/seconds`, several between commas; all of them hold at once."""
    wanted = f"must be requests/seconds, as in 1200/300,1000/50, not {text!r}"
    found = []
    for part in text.split(","):
        requests, _, window = part.strip().partition("/")
        value = _number(window)
        if not re.fullmatch(r"[0-9]{1,9}", requests) or value is None:
            raise ValueError(wanted)
        if int(requests) == 0 or value == 0:
            raise ValueError(wanted)
        found.append(Rate(int(requests), value))
    return tuple(found)


def choice(*allowed: Choice) -> Callable[[str], Choice]:
    """One of a few words, in any case."""

    def parse(text: str) -> Choice:
        for word in allowed:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(allowed)}, not {text!r}")

    return parse


def switch(text: str) -> bool:
    """`on` or `off`, also true or false, yes or no, 1 or 0."""
    if text.lower() in {"on", "true", "yes", "1"}:
        return True
    if text.lower() in {"off", "false", "no", "0"}:
        return False
    raise ValueError(f"must be on or off, not {text!r}")


def matching(pattern: str, wanted: str) -> Callable[[str], str]:
    """A text of the given form; `wanted` says it in words."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {wanted}, not {text!r}")
        return text

    return parse


identifier = matching(r"[\w-]{1,64}", "1 to 64 letters, digits, - and _")
"""An id that the API's addresses are made of."""


def token(text: str) -> str:
    """Something that fits into an HTTP header."""
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("must be printable ASCII without spaces")
    return text


def otlp_headers(text: str) -> str:
    """HTTP headers as OpenTelemetry writes them. What does not fit, its SDK would log in clear."""
    for header in map(str.strip, text.split(",")):
        value = header.partition("=")[2]
        if not (_HEADER.fullmatch(header) and _FIELD.fullmatch(unquote(value))):
            raise ValueError(
                "must be `name=value` with commas between them; in a value, %22, %2C, %3B and %5C"
                ' stand for ", comma, ; and \\'
            )
    return text


def storage_profiles(text: str) -> StorageProfiles:
    """A file with storage profiles."""
    return StorageProfiles.from_file(Path(text))


def http_url(text: str) -> str:
    """An http or https URL, without a slash at its end, a query or a password."""
    parts = _parts(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that begins with https:// or http:// and names a host")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be a URL without query, fragment, user name and password")
    return text.rstrip("/")


def amqp_url(text: str) -> str:
    """An amqp or amqps URL that names a host."""
    parts = _parts(text)
    if parts is None or parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise ValueError("must be a URL such as amqp://user:password@host:5672/vhost, or amqps://")
    for name, path in parse_qsl(parts.query):
        if name in _CERTIFICATES:
            _readable(name, path, tls=parts.scheme == "amqps")
    return text


def _readable(name: str, path: str, *, tls: bool) -> None:
    """Raise for a file that cannot be read: the library's own words do not say which it was."""
    if not tls:
        raise ValueError(f"must begin with amqps:// when it names a {name}")
    try:
        Path(path).open("rb").close()
    except OSError as wrong:
        raise ValueError(
            f"must name a {name} that can be read, not {path}: {wrong.strerror}"
        ) from None


def database_url(text: str) -> str:
    """An SQLite file or a PostgreSQL database."""
    parts = _parts(text)
    if parts is not None and parts.scheme == "sqlite":
        # Nothing before the third slash, a file after it.
        if not parts.netloc and len(parts.path) > 1 and text.startswith("sqlite:///"):
            return text
    elif parts is not None and parts.scheme == "postgresql" and parts.path.strip("/"):
        return text
    raise ValueError(
        "must be sqlite:///relative.db, sqlite:////absolute.db"
        " or postgresql://user:password@host:5432/database"
    )


def _parts(text: str) -> SplitResult | None:
    """None for what is no URL: the library's own words for that would repeat pieces of it."""
    if re.search(r"[\s\x00-\x1f]", text):
        return None
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises ValueError
    except ValueError:
        return None
    return parts
