"""A limit on requests over time."""

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """At most `requests` in any `seconds`."""

    requests: int
    seconds: float
