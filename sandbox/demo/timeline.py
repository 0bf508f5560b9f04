"""What happens, as it happens: coloured on a terminal, plain lines or JSON lines in a pipe."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import click
import msgspec

Kind = Literal["setup", "meeting", "command", "request", "status", "file", "done", "outcome"]
STYLES: Final[Mapping[Kind, str]] = {
    "setup": "dim",
    "meeting": "magenta",
    "command": "bold cyan",
    "request": "dim",
    "status": "yellow",
    "file": "bold green",
    "done": "bold green",
    "outcome": "cyan",
}


class Happening(msgspec.Struct, frozen=True):
    """One line: seconds since the start, what kind of thing it is, and what happened."""

    at: float
    kind: Kind
    text: str
    facts: dict[str, Any] = {}


class Timeline:
    """Shows each happening at once, and remembers none."""

    def __init__(self, show: Callable[[Happening], None]) -> None:
        self._show = show
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    def say(self, kind: Kind, text: str, **facts: object) -> None:
        """Show it now. `facts` are for programs."""
        self._show(Happening(round(self.seconds, 3), kind, text, facts))


def shower(*, as_json: bool) -> Callable[[Happening], None]:
    """How happenings are shown on this stdout."""
    if as_json:
        return show_json
    return _colourful() if sys.stdout.isatty() else show_plain


def show_plain(happening: Happening) -> None:
    """One line of text, flushed."""
    click.echo(f"{happening.at:7.2f} s  {happening.kind:<8} {happening.text}")
    sys.stdout.flush()


def show_json(happening: Happening) -> None:
    """One line of JSON, flushed."""
    click.echo(msgspec.json.encode(happening).decode())
    sys.stdout.flush()


def _colourful() -> Callable[[Happening], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def show(happening: Happening) -> None:
        style = STYLES[happening.kind]
        line = Text.assemble(
            (f"{happening.at:7.2f} s  ", "dim"), (f"{happening.kind:<8} {happening.text}", style)
        )
        console.print(line, soft_wrap=True)

    return show
