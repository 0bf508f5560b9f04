"""The report on everyday rates: figures, goals and tables."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.contestant_process import PacedResult
from benchmarks.everyday import RATES, Entry, EverydayRound, entries
from benchmarks.goals import Goal
from benchmarks.report import Table, goals_table, markdown, replace_section
from benchmarks.results import median, percentile

MAX_RATIOS: Final = {"sqlite": 2.0, "postgresql": 3.0}
"""The highest ratios of the worker's figures to the bare loop's, by database."""

Figure = Callable[[PacedResult], float]


def since_confirm(values: Sequence[float], paced: PacedResult) -> list[float]:
    """The times since the broker's confirm instead of the publish, sorted."""
    return sorted(value - confirm for value, confirm in zip(values, paced.to_confirm, strict=True))


def cpu(paced: PacedResult) -> float:
    """CPU milliseconds per command."""
    return paced.cpu_ms


def request_p99(paced: PacedResult) -> float:
    """Milliseconds from the confirm to the request, at the 99th percentile."""
    return percentile(since_confirm(paced.to_request, paced), 0.99)


def event_p99(paced: PacedResult) -> float:
    """Milliseconds from the confirm to the outcome's event, at the 99th percentile."""
    return percentile(since_confirm(paced.to_outcome, paced), 0.99)


FIGURES: Final[dict[str, Figure]] = {
    "CPU per command": cpu,
    "p99 from confirm to API request": request_p99,
    "p99 from confirm to event": event_p99,
}


def of(rounds: Sequence[EverydayRound], entry: str) -> list[EverydayRound]:
    """The rounds of one entry, in their order."""
    return [result for result in rounds if result.entry == entry]


def ratio(rounds: Sequence[EverydayRound], entry: str, rate: float, figure: Figure) -> float:
    """The median over all rounds of the ratio of an entry's figure to the bare loop's in that
    round."""
    pairs = zip(of(rounds, entry), of(rounds, "bare"), strict=True)
    return median(figure(following.at(rate)) / figure(bare.at(rate)) for following, bare in pairs)


def everyday_goals(rounds: Sequence[EverydayRound]) -> Iterator[Goal]:
    """The goals: those of the worker that follows its recordings."""
    for database, most in MAX_RATIOS.items():
        for rate in _rates(of(rounds, database)):
            for name, figure in FIGURES.items():
                yield Goal(
                    name=f"{name} at {rate:g}/s, {database} to the bare loop",
                    figure=ratio(rounds, database, rate, figure),
                    most=most,
                )


def everyday_table(rounds: Sequence[EverydayRound]) -> Table:
    """A row for each entry: CPU, and the delays since the confirm, at each rate; medians of
    rounds."""
    rates = _rates(rounds)
    head = ["", *(f"{rate:g}/s: CPU ms/command" for rate in rates)]
    head += [f"{rate:g}/s: p50 · p99 to request" for rate in rates]
    head += [f"{rate:g}/s: p50 · p99 to event" for rate in rates]
    rows = [_row(entry, of(rounds, entry.name), rates) for entry in entries()]
    return [head, *(row for row in rows if row)]


def _row(entry: Entry, rounds: Sequence[EverydayRound], rates: Sequence[float]) -> list[str]:
    if not rounds:
        return []
    cells = [f"{median(cpu(result.at(rate)) for result in rounds):.2f}" for rate in rates]
    for values in (_requests, _outcomes):
        cells += [
            " · ".join(
                f"{median(percentile(values(result.at(rate)), share) for result in rounds):.1f}"
                for share in (0.5, 0.99)
            )
            for rate in rates
        ]
    return [entry.label, *cells]


def following_table(rounds: Sequence[EverydayRound]) -> Table:
    """A row for each database: what following adds to each figure."""
    rates = _rates(rounds)
    head = ["following adds", *(f"{name}, {rate:g}/s" for name in FIGURES for rate in rates)]
    rows = [
        [
            database,
            *(
                f"{_added(rounds, database, rate, figure):+.1f} ms"
                for figure in FIGURES.values()
                for rate in rates
            ),
        ]
        for database in MAX_RATIOS
        if of(rounds, database)
    ]
    return [head, *rows]


def _added(rounds: Sequence[EverydayRound], database: str, rate: float, figure: Figure) -> float:
    pairs = zip(of(rounds, database), of(rounds, f"{database}-alone"), strict=True)
    return median(figure(following.at(rate)) - figure(alone.at(rate)) for following, alone in pairs)


def _requests(paced: PacedResult) -> list[float]:
    return since_confirm(paced.to_request, paced)


def _outcomes(paced: PacedResult) -> list[float]:
    return since_confirm(paced.to_outcome, paced)


def _rates(rounds: Sequence[EverydayRound]) -> list[float]:
    return sorted({paced.per_second for result in rounds for paced in result.paced})


def everyday_section(rounds: Sequence[EverydayRound]) -> str:
    """The section as Markdown."""
    number = max(result.number for result in rounds)
    lengths = " and ".join(f"{rate:g}/s for {seconds:g} s" for rate, seconds in RATES.items())
    measured = f"Medians of {number} interleaved rounds: {lengths}."
    parts = (
        f"{measured} Milliseconds from the broker's confirm of the command.",
        markdown(everyday_table(rounds)),
        "p99 and CPU of the worker that follows, less those of the one that does not:",
        markdown(following_table(rounds)),
        markdown(goals_table(everyday_goals(rounds))),
    )
    return "\n\n".join(parts)


def write_everyday(rounds: Sequence[EverydayRound], page: Path) -> None:
    """Bring the page's section up to date."""
    replace_section(page, "everyday", "make bench", everyday_section(rounds))
