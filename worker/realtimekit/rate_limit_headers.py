"""What an answer's headers say of the API's rate limits, leniently and within bounds.

`Ratelimit: "default";r=50;t=30` tells what is left and when there is more,
`Ratelimit-Policy: "burst";q=100;w=60` of which limit; documented for every answer. The names agree
in some sources and not in others.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from worker.budget.sliding_window import Limit
from worker.domain.rate import Rate

LONGEST_HEADER: Final = 1_000
LONGEST_WINDOW_SECONDS: Final = 600
"""What others spend is counted for as long as the window lasts: longer ones would stop us."""

SLOWEST: Final = 0.05
"""Requests per second. An answer may slow us down, but not bring us to a stop: a policy below this
is disregarded."""


def read_limits(headers: Mapping[str, str]) -> tuple[Limit, ...]:
    """The limits that an answer names, each with what is left of it if that is told."""
    policy = headers.get("ratelimit-policy")
    if policy is None:
        return ()
    left = {name: given.get("r") for name, given in _items(headers.get("ratelimit", ""))}
    policies = list(_items(policy))
    if len(policies) == len(left) == 1:  # whatever they are called, they belong together
        left = dict.fromkeys([policies[0][0]], *left.values())
    return tuple(
        Limit(Rate(given["q"], float(given["w"])), left.get(name))
        for name, given in policies
        if _is_credible(given)
    )


def _is_credible(policy: Mapping[str, int]) -> bool:
    requests, seconds = policy.get("q", 0), policy.get("w", 0)
    return 0 < seconds <= LONGEST_WINDOW_SECONDS and requests / seconds >= SLOWEST


def _items(header: str) -> Iterator[tuple[str, dict[str, int]]]:
    for item in header[:LONGEST_HEADER].split(","):
        name, *parameters = item.split(";")
        given = {}
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            number = value.strip()
            if number.isdecimal() and number.isascii() and len(number) < 10:
                given[key.strip().lower()] = int(number)
        if given:
            yield name.strip(), given
