"""The positions of a recording's events in the outbox: ranges, as text. Pure.

The row of the recording has this text, because the row is written with each event anyway. An index
by recording would change another page for each event (docs/adr/0027). Between the ends of a range
there may be events of other recordings.

    "12 40-47 90"    the events are at 12, from 40 to 47, and at 90
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

MAX_GAP: Final = 50
"""Two ranges with at most this many other positions between them become one, which keeps the
text short. Skipping these rows costs little."""


class PositionRange(NamedTuple):
    """The positions from `first` to `last`, both included."""

    first: int
    last: int


def with_positions(text: str | None, first: int, last: int) -> str:
    """The text with one more range, behind all others."""
    if not text:
        return _as_text(first, last)
    before, _, end = text.rpartition(" ")
    start, _, stop = end.partition("-")
    if first - int(stop or start) > MAX_GAP + 1:
        return f"{text} {_as_text(first, last)}"
    merged = _as_text(int(start), last)
    return f"{before} {merged}" if before else merged


def ranges_of(text: str | None) -> Iterator[PositionRange]:
    """The ranges of a text, the oldest first."""
    for token in (text or "").split():
        first, _, last = token.partition("-")
        yield PositionRange(int(first), int(last or first))


def positions_by_subject(rows: Iterable[tuple[str, int]]) -> dict[str, PositionRange]:
    """The range of each subject in rows of subject and position, in order of position."""
    found: dict[str, PositionRange] = {}
    for subject, position in rows:
        known = found.get(subject)
        found[subject] = PositionRange(known.first if known else position, position)
    return found


def _as_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
