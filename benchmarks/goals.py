"""The worker's goals, and whether a run met them. Ratios are of one run."""

from collections.abc import Iterator
from typing import Final

import msgspec

from benchmarks.results import BenchResults, ContestantRound, WorkerAloneResults, median, percentile

AT: Final = 100.0
"""Commands a second at which latencies are compared."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A figure, with its lower or upper bound."""

    name: str
    figure: float
    least: float | None = None
    most: float | None = None
    unit: str = "times"

    @property
    def met(self) -> bool:
        """Whether the figure is within its bound; a figure that is not a number is not."""
        if self.least is not None:
            return self.figure >= self.least
        return self.most is not None and self.figure <= self.most

    @property
    def bound(self) -> str:
        """The bound as text."""
        if self.least is not None:
            return f"≥ {self.least:g} {self.unit}"
        return f"≤ {self.most:g} {self.unit}"


def goals(measured: BenchResults) -> list[Goal]:
    """All goals that this run can judge."""
    return [*_speed(measured), *_latency(measured), *_footprint(measured), *_own(measured.own)]


def _fast(result: ContestantRound) -> float:
    return result.fast_api.per_second


def _slow(result: ContestantRound) -> float:
    return result.slow_api.per_second


def _cpu(result: ContestantRound) -> float:
    return result.fast_api.cpu_ms


def _speed(measured: BenchResults) -> Iterator[Goal]:
    bounds = (
        ("commands/s, SQLite to the bare loop", "sqlite", "bare", _fast, 1.5),
        ("commands/s, SQLite to FastStream", "sqlite", "faststream", _fast, 4.0),
        ("commands/s at 100 ms, SQLite to the bare loop", "sqlite", "bare", _slow, 1.0),
        ("commands/s at 100 ms, SQLite to FastStream", "sqlite", "faststream", _slow, 7.0),
        ("commands/s, PostgreSQL to SQLite", "postgresql", "sqlite", _fast, 0.8),
    )
    for name, contestant, other, figure, least in bounds:
        if (ratio := measured.ratio(contestant, other, figure)) is not None:
            yield Goal(name=name, figure=ratio, least=least)
    if (ratio := measured.ratio("sqlite", "bare", _cpu)) is not None:
        yield Goal(name="CPU per command, SQLite to the bare loop", figure=ratio, most=0.7)


def _latency(measured: BenchResults) -> Iterator[Goal]:
    own = measured.latency("sqlite", AT, to_outcome=False)
    bare = measured.latency("bare", AT, to_outcome=False)
    if own and bare:
        for name, share, most in (("p50", 0.5, 1.5), ("p99", 0.99, 2.0)):
            ratio = percentile(own, share) / percentile(bare, share)
            title = f"{name} from publish to API request at 100/s, SQLite to the bare loop"
            yield Goal(name=title, figure=ratio, most=most)


def _footprint(measured: BenchResults) -> Iterator[Goal]:
    if measured.of("sqlite"):
        ready = measured.median("sqlite", lambda result: result.ready_seconds)
        yield Goal(name="start to ready, SQLite", figure=ready, most=1.5, unit="s")
    wrong = sum(result.wrong for name in ("sqlite", "postgresql") for result in measured.of(name))
    yield Goal(name="commands lost or doubled by this worker", figure=wrong, most=0, unit="")


def _own(own: WorkerAloneResults | None) -> Iterator[Goal]:
    if own is None:
        return
    pairs = zip(own.cpu_million, own.cpu_empty, strict=True)
    growth = median(million / empty for million, empty in pairs)
    yield Goal(
        name="CPU per command, a million finished recordings to none", figure=growth, most=1.1
    )
    rate = median(own.files_per_second) if own.files_in_order else float("nan")
    for window, rates in sorted(own.bare_publish.items()):
        name = (
            f"file events of one recording in order, to bare confirmed publishes, {window} at once"
        )
        yield Goal(name=name, figure=rate / median(rates), least=1.0)
    yield Goal(name="idle CPU", figure=own.idle_cpu * 100, most=1.0, unit="%")
    yield Goal(name="resident memory idle", figure=own.idle_rss / 2**20, most=80.0, unit="MB")
