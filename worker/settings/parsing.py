"""Parses the text of a variable into its value.

Every parser raises ValueError with a description of valid values. A message never repeats a text
that may be secret. The caller puts the name of the variable in front.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from itertools import pairwise
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec
import regex

from worker.domain.hosts import IMPOSSIBLE_HOST, is_possible_host
from worker.domain.rate import Rate
from worker.settings.storage_profiles import StorageProfiles

Parser = Callable[[str], object]
Choice = TypeVar("Choice", bound=str)

_OTLP_HEADER = re.compile(r"[!#$%&'*+.^`|~\w-]+=[ !#-+\--:<-\[\]-~]*", re.ASCII)
_PRINTABLE_ASCII = re.compile(r"[ -~]*")


class WholeNumber(msgspec.Struct, frozen=True):
    """A parser of whole numbers from `low` to `high`. `unit` appears in its errors."""

    low: int
    high: int
    unit: str

    def __call__(self, text: str) -> int:
        low, high = self.low, self.high
        if not re.fullmatch(r"[+-]?[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError(
                f"must be a whole number of {self.unit} from {low} to {high}, not {text!r}"
            )
        return int(text)


class Seconds(msgspec.Struct, frozen=True):
    """A parser of seconds from `low` to `high`; fractions are allowed."""

    low: float
    high: float

    def __call__(self, text: str) -> float:
        value = _decimal(text)
        if value is None or not self.low <= value <= self.high:
            raise ValueError(
                f"must be a number of seconds from {self.low:.15g} to {self.high:.15g}, "
                f"not {text!r}"
            )
        return value


def _decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?|\.[0-9]{1,6}", text) else None


def increasing_seconds(
    max_count: int, low: float, high: float
) -> Callable[[str], tuple[float, ...]]:
    """A parser of up to `max_count` comma-separated seconds, each larger than the one before."""
    parse_one = Seconds(low, high)

    def parse(text: str) -> tuple[float, ...]:
        steps = tuple(parse_one(part.strip()) for part in text.split(","))
        if len(steps) > max_count:
            raise ValueError(f"must have at most {max_count} numbers, not {len(steps)}")
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError(f"must increase from number to number, not {text!r}")
        return steps

    return parse


def rates(text: str) -> tuple[Rate, ...]:
    """Parse comma-separated `requests/seconds`."""
    parsed = [_rate(part.strip()) for part in text.split(",")]
    found = tuple(rate for rate in parsed if rate is not None)
    if len(found) < len(parsed):
        raise ValueError(f"must be requests/seconds, as in 1200/300,1000/50, not {text!r}")
    return found


def _rate(text: str) -> Rate | None:
    requests, _, window = text.partition("/")
    window_seconds = _decimal(window)
    if not re.fullmatch(r"[0-9]{1,9}", requests) or int(requests) == 0 or not window_seconds:
        return None
    return Rate(int(requests), window_seconds)


class OneOf(Generic[Choice]):
    """A parser of one of the `allowed` words, in upper or lower case."""

    def __init__(self, *allowed: Choice) -> None:
        self.allowed = allowed

    def __call__(self, text: str) -> Choice:
        for word in self.allowed:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(self.allowed)}, not {text!r}")


def switch(text: str) -> bool:
    """Parse `on` or `off`; true and false, yes and no, 1 and 0 are accepted too."""
    if text.lower() in {"on", "true", "yes", "1"}:
        return True
    if text.lower() in {"off", "false", "no", "0"}:
        return False
    raise ValueError(f"must be on or off, not {text!r}")


def participant_check(text: str) -> Literal["reject", "off"]:
    """Parse `reject` or `off`. In YAML, an `off` without quotes is false."""
    parse: OneOf[Literal["reject", "off"]] = OneOf("reject", "off")
    return "off" if text.lower() == "false" else parse(text)


def matching(pattern: str, description: str) -> Callable[[str], str]:
    """A parser of texts that match `pattern`. `description` appears in its errors."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {description}, not {text!r}")
        return text

    return parse


def regular_expression(text: str) -> str:
    """Check that the text is a regular expression."""
    try:
        regex.compile(text)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return text


identifier = matching(r"[\w-]{1,64}", "1 to 64 letters, digits, - and _")
"""Parse an id that becomes part of the API's URLs."""


def prefix_of_names(text: str) -> str:
    """Parse the prefix of the names of exchanges and queues."""
    matching(r"[\w.-]{1,64}", "1 to 64 letters, digits, `.`, `-` and `_`")(text)
    if f"{text}.".startswith("amq."):
        raise ValueError("must not begin with `amq.`: RabbitMQ keeps such names for itself")
    return text


def token(text: str) -> str:
    """Parse a token that fits into an HTTP header."""
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("must be printable ASCII without spaces")
    return text


MIN_CONSOLE_TOKEN_LENGTH: Final = 16


def console_token(text: str) -> str:
    """Parse the token of the console, which must be hard to guess."""
    if len(token(text)) < MIN_CONSOLE_TOKEN_LENGTH:
        raise ValueError(f"must have at least {MIN_CONSOLE_TOKEN_LENGTH} characters")
    return text


def trace_link(text: str) -> str:
    """Parse the address of a trace, in which `{trace_id}` stands for its id."""
    if "{trace_id}" not in text:
        raise ValueError(
            "must have {trace_id} in it, as in https://jaeger.example/trace/{trace_id}"
        )
    parts = url_parts(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that begins with https:// or http:// and names a host")
    return text


def otlp_headers(text: str) -> str:
    """Check HTTP headers in OpenTelemetry's notation.

    The check must be strict: OpenTelemetry's SDK logs a header that it cannot parse, in clear.
    """
    for header in map(str.strip, text.split(",")):
        value = header.partition("=")[2]
        if not (_OTLP_HEADER.fullmatch(header) and _PRINTABLE_ASCII.fullmatch(unquote(value))):
            raise ValueError(
                "must be `name=value`, separated by commas; in a value, write %22, %2C, %3B and "
                '%5C for ", comma, ; and \\'
            )
    return text


_HOST_NAME: Final = r"(?=.{1,253}\Z)[\w-]{1,63}(\.[\w-]{1,63})*\.?"
"""Labels of 1 to 63 characters with dots between them."""


def host(text: str) -> str:
    """Parse a host name or an IP address. Brackets around an address are removed."""
    address = text[1:-1] if text[:1] + text[-1:] == "[]" else text
    if ":" in address or address != text:
        try:
            parsed = IPv6Address(address)
        except ValueError:
            raise ValueError(f"must be a host name or an IP address, not {text!r}") from None
        return str(parsed.ipv4_mapped or parsed)
    return matching(_HOST_NAME, "a host name or an IP address")(text)


def storage_profiles(text: str) -> StorageProfiles:
    """Read the file of storage profiles at this path."""
    return StorageProfiles.from_file(Path(text))


def http_url(text: str) -> str:
    """Parse an http or https URL and remove a trailing slash. Query and password are refused."""
    parts = url_parts(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that begins with https:// or http:// and names a host")
    if not is_possible_host(parts.hostname):
        raise ValueError(IMPOSSIBLE_HOST)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must be a URL without query, fragment, user name and password")
    return text.rstrip("/")


def url_parts(text: str) -> SplitResult | None:
    """None if the text is not a URL. The library's own error would repeat parts of the text."""
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port  # raises ValueError
    except ValueError:
        return None
    return None if port == 0 else parts
