"""Parses the text of a variable into its value.

Every parser raises ValueError with a description of valid values. A message never repeats a text
that may be secret. The caller puts the name of the variable in front.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from worker.domain.hosts import IMPOSSIBLE_HOST, is_possible_host
from worker.domain.rate import Rate
from worker.settings.storage_profiles import StorageProfiles

Parser = Callable[[str], object]
Choice = TypeVar("Choice", bound=str)

_OTLP_HEADER = re.compile(r"[!#$%&'*+.^`|~\w-]+=[ !#-+\--:<-\[\]-~]*", re.ASCII)
_PRINTABLE_ASCII = re.compile(r"[ -~]*")


def whole(low: int, high: int, unit: str) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`. `unit` appears in its errors."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number of {unit} from {low} to {high}, not {text!r}")
        return int(text)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A parser of seconds from `low` to `high`; fractions are allowed."""

    def parse(text: str) -> float:
        value = _decimal(text)
        if value is None or not low <= value <= high:
            raise ValueError(
                f"must be a number of seconds from {low:.15g} to {high:.15g}, not {text!r}"
            )
        return value

    return parse


def _decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?|\.[0-9]{1,6}", text) else None


def increasing_seconds(
    max_count: int, low: float, high: float
) -> Callable[[str], tuple[float, ...]]:
    """A parser of up to `max_count` comma-separated seconds, each larger than the one before."""
    parse_one = seconds(low, high)

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


def choice(*allowed: Choice) -> Callable[[str], Choice]:
    """A parser of one of the `allowed` words, in upper or lower case."""

    def parse(text: str) -> Choice:
        for word in allowed:
            if text.lower() == word.lower():
                return word
        raise ValueError(f"must be one of {', '.join(allowed)}, not {text!r}")

    return parse


def switch(text: str) -> bool:
    """Parse `on` or `off`; true and false, yes and no, 1 and 0 are accepted too."""
    if text.lower() in {"on", "true", "yes", "1"}:
        return True
    if text.lower() in {"off", "false", "no", "0"}:
        return False
    raise ValueError(f"must be on or off, not {text!r}")


def participant_check(text: str) -> Literal["reject", "off"]:
    """Parse `reject` or `off`. In YAML, an `off` without quotes is false."""
    parse: Callable[[str], Literal["reject", "off"]] = choice("reject", "off")
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
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
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
