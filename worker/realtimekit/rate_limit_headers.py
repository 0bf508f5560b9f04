"""Reads the API's rate limits from the headers of a response, leniently and within bounds.

`Ratelimit-Policy: "burst";q=100;w=60` names a limit of 100 requests in 60 seconds.
`Ratelimit: "default";r=50;t=30` says that 50 requests are left, and when there are more. Both are
documented for every response. The names in the two headers agree in some sources and not in others.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from worker.budget.sliding_window import ReportedLimit
from worker.domain.rate import Rate

MAX_HEADER_LENGTH: Final = 1_000

MAX_WINDOW_SECONDS: Final = 600
"""Longer windows are ignored: the usage of others counts for the whole window, and would stop
us."""

MIN_REQUESTS_PER_SECOND: Final = 0.05
"""Policies below this rate are ignored, because a response may slow us down but not stop us."""


def parse_rate_limits(headers: Mapping[str, str]) -> tuple[ReportedLimit, ...]:
    """The limits in a response's headers, each with the requests that are left, if reported."""
    policy = headers.get("ratelimit-policy")
    if policy is None:
        return ()
    left = dict(_items(headers.get("ratelimit", "")))
    policies = list(_items(policy))
    if len(policies) == len(left) == 1:  # they belong together, even if their names differ
        left = dict.fromkeys([policies[0][0]], *left.values())
    return tuple(
        _reported(params, left.get(name, {})) for name, params in policies if _is_credible(params)
    )


def _reported(policy: Mapping[str, int], left: Mapping[str, int]) -> ReportedLimit:
    return ReportedLimit(Rate(policy["q"], float(policy["w"])), left.get("r"), left.get("t"))


def _is_credible(policy: Mapping[str, int]) -> bool:
    requests, seconds = policy.get("q", 0), policy.get("w", 0)
    return 0 < seconds <= MAX_WINDOW_SECONDS and requests / seconds >= MIN_REQUESTS_PER_SECOND


def _items(header: str) -> Iterator[tuple[str, dict[str, int]]]:
    for item in header[:MAX_HEADER_LENGTH].split(","):
        name, *parameters = item.split(";")
        params = {}
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            number = value.strip()
            if number.isdecimal() and number.isascii() and len(number) < 10:
                params[key.strip().lower()] = int(number)
        if params:
            yield name.strip(), params
