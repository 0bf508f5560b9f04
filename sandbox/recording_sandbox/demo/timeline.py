"""Prints each entry at once: coloured on a terminal, as text or JSON lines in a pipe."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import click
import msgspec

EntryKind = Literal[
    "setup", "meeting", "command", "request", "status", "file", "done", "archive", "outcome"
]
STYLES: Final[Mapping[EntryKind, str]] = {
    "setup": "dim",
    "meeting": "magenta",
    "command": "bold cyan",
    "request": "dim",
    "status": "yellow",
    "file": "bold green",
    "done": "bold green",
    "archive": "green",
    "outcome": "cyan",
}


class TimelineEntry(msgspec.Struct, frozen=True):
    """One line. `at` is seconds since the start; `facts` are for programs."""

    at: float
    kind: EntryKind
    text: str
    facts: dict[str, Any] = {}


class Timeline:
    """Passes each entry on to `print_entry` at once, and keeps none."""

    def __init__(self, print_entry: Callable[[TimelineEntry], None]) -> None:
        self._print_entry = print_entry
        self._started_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_at

    def add(self, kind: EntryKind, text: str, **facts: object) -> None:
        """Print an entry now."""
        self._print_entry(TimelineEntry(round(self.seconds, 3), kind, text, facts))


def entry_printer(*, as_json: bool) -> Callable[[TimelineEntry], None]:
    """The function that prints entries on this stdout."""
    if as_json:
        return print_json
    return _coloured_printer() if sys.stdout.isatty() else print_plain


def print_plain(entry: TimelineEntry) -> None:
    """Print one line of text, and flush."""
    click.echo(f"{entry.at:7.2f} s  {entry.kind:<8} {entry.text}")
    sys.stdout.flush()


def print_json(entry: TimelineEntry) -> None:
    """Print one line of JSON, and flush."""
    click.echo(msgspec.json.encode(entry).decode())
    sys.stdout.flush()


def _coloured_printer() -> Callable[[TimelineEntry], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def print_coloured(entry: TimelineEntry) -> None:
        line = Text.assemble(
            (f"{entry.at:7.2f} s  ", "dim"), (f"{entry.kind:<8} {entry.text}", STYLES[entry.kind])
        )
        console.print(line, soft_wrap=True)

    return print_coloured
