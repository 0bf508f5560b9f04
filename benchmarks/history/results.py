"""The results of `make bench-history`, which are kept as JSON."""

import statistics

import msgspec


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The milliseconds of an operation with a short history and with a long one.

    `error` says why it could not be done.
    """

    group: str
    name: str
    short: tuple[float, ...] = ()
    long: tuple[float, ...] = ()
    error: str | None = None

    @property
    def ratio(self) -> float:
        """How many times longer it takes with the long history, by the medians."""
        return self.median(long=True) / self.median(long=False)

    def median(self, *, long: bool) -> float:
        """The median with the long history, or with the short one. NaN without measurements."""
        times = self.long if long else self.short
        return statistics.median(times) if times else float("nan")


class EngineResults(msgspec.Struct, frozen=True, kw_only=True):
    """All results on one database. `size` is that of the long history, in bytes."""

    engine: str
    short_rows: int
    long_rows: int
    event_days: float
    size: int
    operations: list[Measured] = []
