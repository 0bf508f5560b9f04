"""Everyday rates: a few commands a second, for the bare loop and the worker alternately.

Commands of a burst share commits and publishes; a single command does not. So the cost of one
command, and the delay of its outcome, show only at these rates. The worker takes part twice on each
database. First it follows its recordings as usual, with an API whose list shows none of them, so
that each is read singly. Then it sweeps only every ten minutes.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from benchmarks.bench_environment import BenchEnvironment
from benchmarks.contestant_list import Contestant, contestants_named
from benchmarks.contestant_process import PacedResult, run_contestant
from benchmarks.results import percentile

RATES: Final = {20.0: 30.0, 100.0: 10.0}
"""How many seconds commands are sent at each rate: 600 and 1,000 commands. One pause of 50 ms
delays one command at 20/s and five at 100/s, so it does not decide the 99th percentile. Sweeps are
ten seconds apart, so a shorter time at 20/s would not show what following costs."""

EVERYDAY: Final = "everyday"
WARM_UP: Final = (50.0, 1.0)
_UNFOLLOWED: Final = {"WORKER_SWEEP_INTERVAL_SECONDS": "600"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A participant. `name` is a contestant's, with `-alone` where the worker follows nothing."""

    name: str
    label: str
    contestant: Contestant
    settings: Mapping[str, str]


class EverydayRound(msgspec.Struct, frozen=True, kw_only=True):
    """One entry in one round, at each rate."""

    entry: str
    number: int
    paced: list[PacedResult]

    def at(self, per_second: float) -> PacedResult:
        """The result at this rate."""
        return next(paced for paced in self.paced if paced.per_second == per_second)

    @property
    def wrong(self) -> int:
        """The number of lost or doubled commands."""
        return sum(paced.lost + paced.doubled for paced in self.paced)


def entries(databases: tuple[str, ...] = ("sqlite", "postgresql")) -> tuple[Entry, ...]:
    """The bare loop, then the worker on each of these databases: with following, and without."""
    bare, *workers = contestants_named(",".join(("bare", *databases)))
    found = [Entry(name="bare", label=bare.label, contestant=bare, settings={})]
    for worker in workers:
        label = worker.label.partition(",")[0]
        found.append(
            Entry(name=worker.name, label=f"{label}, following", contestant=worker, settings={})
        )
        found.append(
            Entry(
                name=f"{worker.name}-alone",
                label=f"{label}, sweeps ten minutes apart",
                contestant=worker,
                settings=_UNFOLLOWED,
            )
        )
    return tuple(found)


async def measure_everyday(
    environment: BenchEnvironment,
    chosen: tuple[Entry, ...],
    say: Callable[[str], None],
    *,
    rounds: int,
) -> list[EverydayRound]:
    """All rounds. Each begins with another entry."""
    done: list[EverydayRound] = []
    for number in range(1, rounds + 1):
        turn = (number - 1) % len(chosen)
        for entry in (*chosen[turn:], *chosen[:turn]):
            done.append(await _one_round(environment, entry, number))
            say(f"everyday {number}  {_line(done[-1])}")
    return done


async def _one_round(environment: BenchEnvironment, entry: Entry, number: int) -> EverydayRound:
    async with run_contestant(entry.contestant, environment, settings=entry.settings) as process:
        await process.api.configure(listed=0)
        await process.paced(*WARM_UP)  # what opens its connections is no everyday
        paced = [await process.paced(*rate) for rate in RATES.items()]
        return EverydayRound(entry=entry.name, number=number, paced=paced)


def _line(result: EverydayRound) -> str:
    cells = (
        f"{paced.per_second:g}/s {paced.cpu_ms:5.2f} ms CPU, p99 {_p99(paced):.1f} ms"
        for paced in result.paced
    )
    wrong = f"  {result.wrong} LOST OR DOUBLED" if result.wrong else ""
    return f"{result.entry:<16} {'   '.join(cells)}{wrong}"


def _p99(paced: PacedResult) -> float:
    return percentile(sorted(paced.to_outcome), 0.99)
