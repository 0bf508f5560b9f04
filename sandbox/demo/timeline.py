"""What happens, as it happens: coloured on a terminal, plain lines or JSON lines in a pipe."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import click
import msgspec

EntryKind = Literal["setup", "meeting", "command", "request", "status", "file", "done", "outcome"]
STYLES: Final[Mapping[EntryKind, str]] = {
    "setup": "dim",
    "meeting": "magenta",
    "command": "bold cyan",
    "request": "dim",
    "status": "yellow",
    "file": "bold green",
    "done": "bold green",
    "outcome": "cyan",
}


class TimelineEntry(msgspec.Struct, frozen=True):
    """One line: seconds since the start, what kind of thing it is, and what happened."""

    at: float
    kind: EntryKind
    text: str
    facts: dict[str, Any] = {}


class Timeline:
    """Shows each happening at once, and remembers none."""

    def __init__(self, show: Callable[[TimelineEntry], None]) -> None:
        self._show = show
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, kind: EntryKind, text: str, **facts: object) -> None:
        """Show it now. `facts` are for programs."""
        self._show(TimelineEntry(round(self.seconds, 3), kind, text, facts))


def entry_printer(*, as_json: bool) -> Callable[[TimelineEntry], None]:
    """How happenings are shown on this stdout."""
    if as_json:
        return print_json
    return _coloured_printer() if sys.stdout.isatty() else print_plain


def print_plain(happening: TimelineEntry) -> None:
    """One line of text, flushed."""
    click.echo(f"{happening.at:7.2f} s  {happening.kind:<8} {happening.text}")
    sys.stdout.flush()


def print_json(happening: TimelineEntry) -> None:
    """One line of JSON, flushed."""
    click.echo(msgspec.json.encode(happening).decode())
    sys.stdout.flush()


def _coloured_printer() -> Callable[[TimelineEntry], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def show(happening: TimelineEntry) -> None:
        style = STYLES[happening.kind]
        line = Text.assemble(
            (f"{happening.at:7.2f} s  ", "dim"), (f"{happening.kind:<8} {happening.text}", style)
        )
        console.print(line, soft_wrap=True)

    return show
