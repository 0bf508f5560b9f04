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
"""Those whose latencies are drawn; the others are in the table."""

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
    """Commands a second and CPU per command; latencies. What each shows, and its file."""
    speed, delay = directory / "throughput.svg", directory / "latency.svg"
    with drawing(speed, 3) as (fast, slow, cpu):
        _bars(fast, measured, "commands/s", lambda one: one.fast_api.per_second)
        _bars(slow, measured, "commands/s, API takes 100 ms", lambda one: one.slow_api.per_second)
        _bars(cpu, measured, "CPU ms/command", lambda one: one.fast_api.cpu_ms)
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
    there = [one for one in reversed(CONTESTANTS) if measured.of(one.name)]
    values = [measured.median(one.name, figure) for one in there]
    colors = [OURS if one.is_ours else OTHERS for one in there]
    bars = axes.barh([one.label for one in there], values, color=colors)
    axes.bar_label(bars, [f"{value:,.{2 * (value < 10)}f}" for value in values], fontsize=7)
    axes.set_title(title, fontsize=9)
    axes.margins(x=0.15)


def _lines(axes: Axes, measured: BenchResults, title: str, *, to_outcome: bool) -> None:
    rates = sorted({paced.per_second for one in measured.rounds for paced in one.paced})
    for one in CONTESTANTS:
        if one.name not in _COMPARED or not measured.of(one.name):
            continue
        color = _COMPARED[one.name]
        for share, style in ((0.5, "-"), (0.99, ":")):
            values = [
                percentile(measured.latency(one.name, rate, to_outcome=to_outcome), share)
                for rate in rates
            ]
            label = one.label if share == 0.5 else None
            axes.plot(rates, values, style, color=color, label=label, marker=".")
    axes.set_yscale("log")
    axes.set_xlabel("commands a second; dotted: p99")
    axes.set_title(title, fontsize=9)
