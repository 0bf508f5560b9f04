"""The results of a run as text: tables for the terminal and for docs/explanation/performance.md."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.contestant_list import CONTESTANTS
from benchmarks.goals import Goal, goals
from benchmarks.results import BenchResults, percentile

BEGIN: Final = "<!-- {name}: written by {command} -->"
END: Final = "<!-- end of {name} -->"

Table = Sequence[Sequence[str]]


def text(measured: BenchResults) -> str:
    """All tables, for people."""
    parts = (
        "Throughput, medians",
        markdown(throughput(measured)),
        "Latency, milliseconds",
        markdown(latency(measured)),
        "Goals",
        markdown(goals_table(goals(measured))),
    )
    return "\n\n".join(parts)


def throughput(measured: BenchResults) -> Table:
    """A row for each contestant: throughput and CPU of a burst, and the process itself."""
    head = (
        "", "commands/s", "CPU ms/command", "broker's CPU ms", "commands/s, API 100 ms",
        "CPU ms/command, API 100 ms", "start to ready s", "idle MB", "lost or doubled",
    )  # fmt: skip
    rows = [
        (
            contestant.label,
            f"{measured.median(contestant.name, lambda result: result.fast_api.per_second):.0f}",
            f"{measured.median(contestant.name, lambda result: result.fast_api.cpu_ms):.2f}",
            f"{measured.median(contestant.name, lambda result: result.fast_api.broker_cpu_ms):.2f}",
            f"{measured.median(contestant.name, lambda result: result.slow_api.per_second):.0f}",
            f"{measured.median(contestant.name, lambda result: result.slow_api.cpu_ms):.2f}",
            f"{measured.median(contestant.name, lambda result: result.ready_seconds):.2f}",
            f"{measured.median(contestant.name, lambda result: result.idle_rss) / 2**20:.0f}",
            str(sum(result.wrong for result in measured.of(contestant.name))),
        )
        for contestant in CONTESTANTS
        if measured.of(contestant.name)
    ]
    return [head, *rows]


def latency(measured: BenchResults) -> Table:
    """A row for each contestant: publish to API request and to outcome, at each rate."""
    rates = sorted({paced.per_second for result in measured.rounds for paced in result.paced})
    head = ["", *(f"{rate:g}/s, p50 · p99 to request" for rate in rates)]
    head += [f"{rate:g}/s, p50 · p99 to outcome" for rate in rates]
    rows = [head]
    for contestant in CONTESTANTS:
        if measured.of(contestant.name):
            cells = [
                _spread(measured.latency(contestant.name, rate, to_outcome=to_outcome))
                for to_outcome in (False, True)
                for rate in rates
            ]
            rows.append([contestant.label, *cells])
    return rows


def _spread(ordered: Sequence[float]) -> str:
    return f"{percentile(ordered, 0.5):.1f} · {percentile(ordered, 0.99):.1f}"


def goals_table(goals: Iterable[Goal]) -> Table:
    """A row for each goal."""
    rows = [
        (goal.name, goal.bound, f"{goal.figure:.2f} {goal.unit}", "met" if goal.met else "NOT MET")
        for goal in goals
    ]
    return [("goal", "bound", "measured", ""), *rows]


def markdown(table: Table) -> str:
    """The table with aligned columns, so that the source is readable."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [_row(row, widths) for row in table]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _row(cells: Iterable[str], widths: Iterable[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def machine(measured: BenchResults) -> str:
    """One sentence: the machine, the versions and the size of the run."""
    host = measured.machine
    rounds = max((result.number for result in measured.rounds), default=0)
    return (
        f"{host.processors} processors shared by everything, Python {host.python}, RabbitMQ "
        f"{host.rabbitmq}; medians of {rounds} interleaved rounds, bursts of {measured.commands} "
        "commands (fewer for slow contestants), 100 in flight unless the row says otherwise."
    )


def write(measured: BenchResults, page: Path) -> None:
    """Bring the page's section and its plots up to date."""
    from benchmarks.plots import plot_bench

    plots = plot_bench(measured, page.parent / "performance")
    parts = (
        machine(measured),
        markdown(throughput(measured)),
        *(f"![{name}](performance/{path.name})" for name, path in plots.items()),
        "Milliseconds from the publish of a command:",
        markdown(latency(measured)),
        "### Goals",
        markdown(goals_table(goals(measured))),
    )
    replace_section(page, "bench", "make bench", "\n\n".join(parts))


def replace_section(page: Path, name: str, command: str, body: str) -> None:
    """Put `body` between the page's marks of that name. ValueError when it has none."""
    begin, end = BEGIN.format(name=name, command=command), END.format(name=name)
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no section between {begin!r} and {end!r}")
    page.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}")
