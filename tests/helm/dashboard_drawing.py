"""Draws rows of the dashboard as Grafana lays them out: sizes, colors, units and thresholds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image

Json = dict[str, Any]

COLUMNS: Final = 24
INCHES: Final = 10.5
CELL: Final = 0.37
"""The height of one unit of the layout, in inches."""
GAP: Final = 0.06
DPI: Final = 137
MAX_COLORS: Final = 96
PAGE: Final = "#111217"
PANEL: Final = "#181b1f"
EDGE: Final = "#2c3235"
TEXT: Final = "#d8d9da"
QUIET: Final = "#9fa7b3"
NAMED: Final = {"green": "#3a9d5d", "orange": "#e0752d", "red": "#d13b4a"}
CHARACTERS_PER_INCH: Final = 14
LINES: Final = (
    "#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#d683ce",
)  # fmt: skip
SCALES: Final = {
    "s": ((86400, " days"), (3600, " h"), (60, " min"), (1, " s"), (0.001, " ms")),
    "bytes": ((2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B")),
    "binBps": ((2**30, " GiB/s"), (2**20, " MiB/s"), (2**10, " KiB/s"), (1, " B/s")),
}
SUFFIXES: Final = {"ops": " ops/s", "reqps": " req/s", "short": ""}


class Series(NamedTuple):
    """A named series: seconds since the beginning, and values."""

    name: str
    points: Sequence[tuple[float, float]]


Results = Mapping[int, Sequence[Series]]
"""The series of each panel, by its id."""


def formatted(value: float, defaults: Json) -> str:
    """A value as Grafana writes it."""
    for mapping in defaults.get("mappings", ()):
        if (word := mapping["options"].get(f"{value:g}")) is not None:
            return str(word["text"])
    decimals, unit = defaults["decimals"], defaults["unit"]
    if unit == "percentunit":
        return f"{value:.{decimals}%}"
    for size, suffix in SCALES.get(unit, ()):
        if abs(value) >= size:
            return f"{value / size:.{decimals}f}{suffix}"
    suffix = SCALES[unit][-2][1] if unit in SCALES else SUFFIXES[unit]
    return f"{value:.{decimals}f}{suffix}"


def color(value: float, thresholds: Json) -> str:
    """The color of the last step that the value has reached."""
    reached = [
        step for step in thresholds["steps"] if step["value"] is None or value >= step["value"]
    ]
    return NAMED[reached[-1]["color"]]


def thresholds_of(panel: Json, name: str) -> Json:
    """The thresholds of a series."""
    found: Json = panel["fieldConfig"]["defaults"]["thresholds"]
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == name:
            found = override["properties"][0]["value"]
    return found


def draw(rows: Sequence[Json], results: Results, path: Path) -> None:
    """Draw rows, each with its panels, below one another."""
    page = Page(rows)
    for row, top in page.tops:
        page.heading(row["title"], top)
        first = min(panel["gridPos"]["y"] for panel in row["panels"])
        for panel in row["panels"]:
            draw_panel(page, panel, top + 1 + panel["gridPos"]["y"] - first, results[panel["id"]])
    page.figure.savefig(path, dpi=DPI, facecolor=PAGE)
    plt.close(page.figure)
    with Image.open(path) as drawn:
        few = drawn.convert("RGB").quantize(MAX_COLORS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


class Page:
    """The figure, measured in units of the layout from its upper edge."""

    def __init__(self, rows: Sequence[Json]) -> None:
        self.tops: list[tuple[Json, int]] = []
        self.units = 0
        for row in rows:
            self.tops.append((row, self.units))
            ends = [panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in row["panels"]]
            begins = [panel["gridPos"]["y"] for panel in row["panels"]]
            self.units += 1 + max(ends) - min(begins)
        self.height = self.units * CELL
        self.figure: Figure = plt.figure(figsize=(INCHES, self.height))

    def write(self, x: float, y: float, text: str, **how: Any) -> None:
        """Write at inches from the upper left corner."""
        how = {"color": TEXT, "va": "center", "fontsize": 11, **how}
        self.figure.text(x / INCHES, 1 - y / self.height, text, **how)

    def heading(self, title: str, top: int) -> None:
        """The title of a row."""
        self.write(0.1, (top + 0.5) * CELL, f"⌄ {title}", fontsize=12.5, weight="bold")

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """The background of a panel."""
        self.figure.patches.append(
            FancyBboxPatch(
                (x / INCHES, 1 - (y + height) / self.height),
                width / INCHES,
                height / self.height,
                boxstyle="square,pad=0",
                facecolor=fill,
                edgecolor=EDGE,
                linewidth=0.8,
                transform=self.figure.transFigure,
                zorder=-1,
            )
        )

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Axes at inches from the upper left corner."""
        place = (
            x / INCHES, 1 - (y + height) / self.height, width / INCHES, height / self.height,
        )  # fmt: skip
        axis = self.figure.add_axes(place, facecolor="none")
        axis.tick_params(colors=QUIET, labelsize=9, length=0)
        axis.grid(color=EDGE, linewidth=0.6)
        for spine in axis.spines.values():
            spine.set_visible(False)
        return axis


def draw_panel(page: Page, panel: Json, top: float, series: Sequence[Series]) -> None:
    """Draw one panel."""
    at = panel["gridPos"]
    column = INCHES / COLUMNS
    x, y = at["x"] * column + GAP / 2, top * CELL + GAP / 2
    width, height = at["w"] * column - GAP, at["h"] * CELL - GAP
    page.box(x, y, width, height, PANEL)
    page.write(x + 0.1, y + 0.19, panel["title"], fontsize=11)
    drawn = [line for line in series if line.points]
    if not drawn:
        quiet = {"color": QUIET, "ha": "center", "fontsize": 12}
        empty = panel["fieldConfig"]["defaults"]["noValue"]
        page.write(x + width / 2, y + height / 2 + 0.1, empty, **quiet)
    else:
        DRAWN[panel["type"]](page, panel, drawn, (x, y, width, height))


Box = tuple[float, float, float, float]


def draw_stat(page: Page, panel: Json, series: Sequence[Series], box: Box) -> None:
    """The last value of each series on the color of its threshold."""
    x, y, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    named = panel["options"]["textMode"] == "value_and_name"
    stat_width = width / len(series)
    for number, stat in enumerate(series):
        value = stat.points[-1][1]
        left = x + number * stat_width
        fill = color(value, thresholds_of(panel, stat.name))
        page.box(left + 0.04, y + 0.36, stat_width - 0.08, height - 0.4, fill)
        middle = {"ha": "center", "color": "white"}
        page.write(left + stat_width / 2, y + height / 2 + 0.15, formatted(value, defaults),
                   fontsize=19 if stat_width > 1.6 else 10.5, weight="bold", **middle)  # fmt: skip
        if named:
            page.write(left + stat_width / 2, y + height - 0.2, stat.name, fontsize=9, **middle)


def draw_states(page: Page, panel: Json, series: Sequence[Series], box: Box) -> None:
    """A bar per series, in the color of its state."""
    x, y, width, height = box
    axis = page.axes(x + 1.1, y + 0.45, width - 1.3, height - 0.85)
    for number, bar in enumerate(series):
        for at, value in bar.points:
            fill = color(value, thresholds_of(panel, bar.name))
            axis.barh(number, 1.05, left=at, height=0.75, color=fill)
    axis.set_yticks(range(len(series)), [bar.name for bar in series])
    axis.invert_yaxis()
    axis.grid(visible=False)
    mark_minutes(axis)


def draw_lines(page: Page, panel: Json, series: Sequence[Series], box: Box) -> None:
    """Lines, the dashed threshold, and a legend with the last and the largest value."""
    x, y, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    shown = series[:5]
    below = 0.3 + 0.2 * len(shown)
    axis = page.axes(x + 0.85, y + 0.42, width - 1.0, height - 0.55 - below)
    for number, curve in enumerate(series):
        hue = LINES[number % len(LINES)]
        times, values = zip(*with_gaps(curve.points), strict=True)
        axis.plot(times, values, color=hue, linewidth=1.6)
        axis.fill_between(times, values, color=hue, alpha=0.08, linewidth=0)
    for number, curve in enumerate(shown):
        line = y + height - 0.2 * (len(shown) - number) + 0.06
        more = f" and {len(series) - 5} more" if number == 4 and len(series) > 5 else ""
        page.write(x + 0.12, line, "━", color=LINES[number % len(LINES)], fontsize=9)
        last, largest = curve.points[-1][1], max(value for _, value in curve.points)
        summary = formatted(last, defaults)
        with_max = f"{summary}   max {formatted(largest, defaults)}"
        if fitting(width, with_max + more) >= len(curve.name):
            summary = with_max
        name = shortened(curve.name, fitting(width, summary + more)) + more
        page.write(x + 0.38, line, name, fontsize=9)
        page.write(x + width - 0.12, line, summary, fontsize=9, ha="right", color=QUIET)
    largest = max(value for curve in series for _, value in curve.points)
    axis.set_ylim(0, largest * 1.15 or 1)
    if defaults["custom"]["thresholdsStyle"]["mode"] == "dashed":
        draw_threshold(axis, defaults["thresholds"]["steps"][-1])
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=defaults["unit"] == "short"))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formatted(value, defaults)))
    mark_minutes(axis)


def with_gaps(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The points, with a break where there was no value for a while."""
    before = points[0][0]
    for at, value in points:
        if at - before > 2:
            yield before, math.nan
        yield at, value
        before = at


def fitting(width: float, other: str) -> int:
    """The number of characters of a name that fit into a panel's legend next to another text."""
    return int((width - 0.65) * CHARACTERS_PER_INCH) - len(other)


def shortened(name: str, fitting: int) -> str:
    """A name that fits, cut in the middle."""
    if len(name) <= fitting:
        return name
    half = (fitting - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def draw_threshold(axis: Axes, step: Json) -> None:
    """The limit of the alert, if it is on the scale."""
    axis.axhline(step["value"], color=NAMED[step["color"]], linestyle="--", linewidth=1)


def mark_minutes(axis: Axes) -> None:
    """Mark every minute."""
    axis.set_xlim(0, 180)
    axis.set_xticks(range(0, 181, 60), ["", "1:00", "2:00", ""])


DRAWN: Final = {"stat": draw_stat, "state-timeline": draw_states, "timeseries": draw_lines}
