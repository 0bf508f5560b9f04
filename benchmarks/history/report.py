"""The table of `make bench-history`, and its place in the documents."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.history.results import EngineResults, Measured
from benchmarks.report import Table, markdown, replace_section

LABELS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def write(results: Sequence[EngineResults], page: Path) -> None:
    """Bring the section of the page up to date."""
    parts = [
        *(_about(of_engine) for of_engine in results),
        markdown(operations_table(results)),
    ]
    replace_section(page, "history", "make bench-history", "\n\n".join(parts))


def _about(results: EngineResults) -> str:
    return (
        f"{LABELS[results.engine]}: {results.long_rows:,} finished recordings "
        f"({results.size / 1e9:.1f} GB) beside {results.short_rows:,}, with "
        f"the events of the last {24 * results.event_days:g} hours."
    )


def operations_table(results: Sequence[EngineResults]) -> Table:
    """A row for each operation: milliseconds with a short history and with a long one."""
    head = [""]
    for of_engine in results:
        label = LABELS[of_engine.engine]
        head += [f"{label}, ms short · long · worst", f"{label}, ratio"]
    rows: list[Sequence[str]] = [head]
    group = ""
    for group_name, name in _names(results):
        if group_name != group:
            group = group_name
            rows.append([f"**{group}**", *("" for _ in head[1:])])
        cells = [cell for of_engine in results for cell in _cells(of_engine, group, name)]
        rows.append([name, *cells])
    return rows


def _names(results: Sequence[EngineResults]) -> Iterator[tuple[str, str]]:
    found = {
        (operation.group, operation.name): None for of in results for operation in of.operations
    }
    groups = list(dict.fromkeys(group for group, _ in found))
    return iter(sorted(found, key=lambda name: groups.index(name[0])))


def _cells(results: EngineResults, group: str, name: str) -> tuple[str, str]:
    for operation in results.operations:
        if (operation.group, operation.name) == (group, name):
            return (
                _milliseconds(operation),
                "failed" if operation.error else f"{operation.ratio:.2f}",
            )
    return ("", "")


def _milliseconds(operation: Measured) -> str:
    short, long = (operation.median(long=is_long) for is_long in (False, True))
    return f"{short:.1f} · {long:.1f} · {max(operation.long, default=float('nan')):.1f}"
