"""Figures of a run as SVG pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.colors import OTHERS, OURS
from benchmarks.contestant_list import CONTESTANTS
from benchmarks.results import BenchResults, ContestantRound, percentile

_COMPARED: Final = {
    "bare": "#475569",
    "faststream": OTHERS,
    "sqlite": OURS,
    "postgresql": "#0f766e",
}
"""The contestants whose latencies are drawn. The table has all."""

_STYLE: Final[Any] = {
    "svg.hashsalt": "recording-worker",  # the same figures give the same file
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 9,
}


@contextmanager
def drawing(path: Path, columns: int) -> Iterator[Sequence[Axes]]:
    """Axes side by side, saved at the end."""
    path.parent.mkdir(exist_ok=True)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)[0]
        yield list(axes)
        figure.savefig(path, format="svg", metadata={"Date": None})


def plot_bench(measured: BenchResults, directory: Path) -> dict[str, Path]:
    """Draw commands per second, CPU per command and latencies. Returns each file by its title."""
    speed, delay = directory / "throughput.svg", directory / "latency.svg"
    with drawing(speed, 3) as (fast, slow, cpu):
        _bars(fast, measured, "commands/s", lambda result: result.fast_api.per_second)
        _bars(
            slow,
            measured,
            "commands/s, API takes 100 ms",
            lambda result: result.slow_api.per_second,
        )
        _bars(cpu, measured, "CPU ms/command", lambda result: result.fast_api.cpu_ms)
        for axes in (slow, cpu):
            axes.set_yticklabels([])
    with drawing(delay, 2) as (request, outcome):
        _lines(request, measured, "publish to API request, ms", to_outcome=False)
        _lines(outcome, measured, "publish to outcome, ms", to_outcome=True)
        outcome.legend(fontsize=7, frameon=False)
    return {"Commands a second and CPU per command": speed, "Latency by rate": delay}


def _bars(
    axes: Axes, measured: BenchResults, title: str, figure: Callable[[ContestantRound], float]
) -> None:
    taking_part = [
        contestant for contestant in reversed(CONTESTANTS) if measured.of(contestant.name)
    ]
    values = [measured.median(contestant.name, figure) for contestant in taking_part]
    colors = [OURS if contestant.is_ours else OTHERS for contestant in taking_part]
    bars = axes.barh([contestant.label for contestant in taking_part], values, color=colors)
    axes.bar_label(bars, [f"{value:,.{2 * (value < 10)}f}" for value in values], fontsize=7)
    axes.set_title(title, fontsize=9)
    axes.margins(x=0.15)


def _lines(axes: Axes, measured: BenchResults, title: str, *, to_outcome: bool) -> None:
    rates = sorted({paced.per_second for result in measured.rounds for paced in result.paced})
    for contestant in CONTESTANTS:
        if contestant.name not in _COMPARED or not measured.of(contestant.name):
            continue
        color = _COMPARED[contestant.name]
        for share, style in ((0.5, "-"), (0.99, ":")):
            values = [
                percentile(measured.latency(contestant.name, rate, to_outcome=to_outcome), share)
                for rate in rates
            ]
            label = contestant.label if share == 0.5 else None
            axes.plot(rates, values, style, color=color, label=label, marker=".")
    axes.set_yscale("log")
    axes.set_xlabel("commands a second; dotted: p99")
    axes.set_title(title, fontsize=9)
