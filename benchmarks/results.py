"""The measurements of a benchmark run, as values and as JSON."""

import statistics
from collections.abc import Callable, Iterable, Sequence

import msgspec

from benchmarks.contestant_process import BurstResult, PacedResult


class ContestantRound(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant in one round. `idle_rss` in bytes; `slow_api` with an answer after 100 ms."""

    contestant: str
    number: int
    ready_seconds: float
    idle_rss: int
    paced: list[PacedResult]
    fast_api: BurstResult
    slow_api: BurstResult

    @property
    def wrong(self) -> int:
        """The number of lost or doubled commands."""
        bursts = sum(burst.lost + burst.doubled for burst in (self.fast_api, self.slow_api))
        return bursts + sum(burst.lost + burst.doubled for burst in self.paced)


class WorkerAloneResults(msgspec.Struct, frozen=True, kw_only=True):
    """Measurements of this worker alone, on SQLite.

    Commands' CPU in milliseconds with an empty store and with a million finished recordings, in
    pairs; events of files a second, and those of a bare confirmed publisher with the same number in
    flight; `idle_cpu` as a share of one processor.
    """

    cpu_empty: list[float]
    cpu_million: list[float]
    files_per_second: list[float]
    bare_publish: dict[int, list[float]]
    files_in_order: bool
    idle_cpu: float
    idle_rss: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and versions of the measurement."""

    processors: int
    python: str
    rabbitmq: str
    postgresql: str | None = None


class BenchResults(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    machine: Machine
    commands: int
    rounds: list[ContestantRound]
    own: WorkerAloneResults | None = None

    def of(self, contestant: str) -> list[ContestantRound]:
        """A contestant's rounds, in their order."""
        return [result for result in self.rounds if result.contestant == contestant]

    def median(self, contestant: str, figure: Callable[[ContestantRound], float]) -> float:
        """The median of a figure over a contestant's rounds."""
        return statistics.median(figure(result) for result in self.of(contestant))

    def ratio(
        self, contestant: str, other: str, figure: Callable[[ContestantRound], float]
    ) -> float | None:
        """The median over the rounds of the ratio of two contestants; None unless both took
        part."""
        pairs = zip(self.of(contestant), self.of(other), strict=False)
        ratios = [figure(own) / figure(others) for own, others in pairs]
        return statistics.median(ratios) if ratios else None

    def latency(self, contestant: str, per_second: float, *, to_outcome: bool) -> list[float]:
        """Milliseconds of all rounds at this rate, sorted."""
        paced = (paced for result in self.of(contestant) for paced in result.paced)
        at_rate = [each for each in paced if each.per_second == per_second]
        return sorted(
            ms for each in at_rate for ms in (each.to_outcome if to_outcome else each.to_request)
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values is; nan without values."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def median(values: Iterable[float]) -> float:
    """Their median; nan when there are none."""
    found = list(values)
    return statistics.median(found) if found else float("nan")
