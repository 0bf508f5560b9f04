"""The worker's goals, and whether a run met them. Ratios are of one run."""

from collections.abc import Iterator
from typing import Final

import msgspec

from benchmarks.results import BenchResults, ContestantRound, WorkerAloneResults, median, percentile

AT: Final = 100.0
"""Commands a second at which latencies are compared."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A figure, and the least or the most it may be."""

    what: str
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
        """The bound in words."""
        if self.least is not None:
            return f"≥ {self.least:g} {self.unit}"
        return f"≤ {self.most:g} {self.unit}"


def goals(measured: BenchResults) -> list[Goal]:
    """All that can be judged by this run."""
    return [*_speed(measured), *_latency(measured), *_footprint(measured), *_own(measured.own)]


def _fast(one: ContestantRound) -> float:
    return one.fast_api.per_second


def _slow(one: ContestantRound) -> float:
    return one.slow_api.per_second


def _cpu(one: ContestantRound) -> float:
    return one.fast_api.cpu_ms


def _speed(measured: BenchResults) -> Iterator[Goal]:
    bounds = (
        ("commands/s, SQLite to the bare loop", "sqlite", "bare", _fast, 1.5),
        ("commands/s, SQLite to FastStream", "sqlite", "faststream", _fast, 4.0),
        ("commands/s at 100 ms, SQLite to the bare loop", "sqlite", "bare", _slow, 1.0),
        ("commands/s at 100 ms, SQLite to FastStream", "sqlite", "faststream", _slow, 7.0),
        ("commands/s, PostgreSQL to SQLite", "postgresql", "sqlite", _fast, 0.8),
    )
    for what, one, other, figure, least in bounds:
        if (ratio := measured.ratio(one, other, figure)) is not None:
            yield Goal(what=what, figure=ratio, least=least)
    if (ratio := measured.ratio("sqlite", "bare", _cpu)) is not None:
        yield Goal(what="CPU per command, SQLite to the bare loop", figure=ratio, most=0.7)


def _latency(measured: BenchResults) -> Iterator[Goal]:
    ours = measured.latency("sqlite", AT, to_outcome=False)
    bare = measured.latency("bare", AT, to_outcome=False)
    if ours and bare:
        for name, share, most in (("p50", 0.5, 1.5), ("p99", 0.99, 2.0)):
            ratio = percentile(ours, share) / percentile(bare, share)
            what = f"{name} from publish to API request at 100/s, SQLite to the bare loop"
            yield Goal(what=what, figure=ratio, most=most)


def _footprint(measured: BenchResults) -> Iterator[Goal]:
    if measured.of("sqlite"):
        ready = measured.median("sqlite", lambda one: one.ready_seconds)
        yield Goal(what="start to ready, SQLite", figure=ready, most=1.5, unit="s")
    wrong = sum(one.wrong for name in ("sqlite", "postgresql") for one in measured.of(name))
    yield Goal(what="commands lost or doubled by this worker", figure=wrong, most=0, unit="")


def _own(own: WorkerAloneResults | None) -> Iterator[Goal]:
    if own is None:
        return
    pairs = zip(own.cpu_million, own.cpu_empty, strict=True)
    growth = median(million / empty for million, empty in pairs)
    yield Goal(
        what="CPU per command, a million finished recordings to none", figure=growth, most=1.1
    )
    rate = median(own.files_per_second) if own.files_in_order else float("nan")
    for window, rates in sorted(own.bare_publish.items()):
        what = (
            f"file events of one recording in order, to bare confirmed publishes, {window} at once"
        )
        yield Goal(what=what, figure=rate / median(rates), least=1.0)
    yield Goal(what="idle CPU", figure=own.idle_cpu * 100, most=1.0, unit="%")
    yield Goal(what="resident memory idle", figure=own.idle_rss / 2**20, most=80.0, unit="MB")
