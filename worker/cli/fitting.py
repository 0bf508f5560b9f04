"""Chooses what a table shows on a terminal, so that each row fits into one line if possible."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from worker.cli.columns import Column, Row, shown_text
from worker.cli.text import cells, cut_middle
from worker.cli.times import rounded_duration
from worker.domain.short_ids import MAX_WHOLE_LENGTH, SHOWN_LETTERS, shorten

MIN_FILE: Final = 22
MIN_TEXT: Final = 24
"""A long text wraps, so that other columns have enough space."""

MAX_ID_LENGTH: Final = 128
_GAP: Final = 2
_NOTHING: Final = "-"


class _IdForm(NamedTuple):
    """An id that is no UUID is whole up to `max_whole` letters, else has its first `letters`."""

    max_whole: int
    letters: int


_WHOLE: Final = _IdForm(MAX_ID_LENGTH, MAX_ID_LENGTH)
_LONG: Final = _IdForm(MAX_WHOLE_LENGTH, SHOWN_LETTERS)
_MIDDLE: Final = _IdForm(SHOWN_LETTERS + 1, SHOWN_LETTERS)
_SHORT: Final = _IdForm(9, 8)


class Fitted(NamedTuple):
    """The cells of the columns to show, what is `same` in each row, and the titles `left_out`."""

    cells: dict[Column, list[str]]
    same: list[str]
    left_out: list[str]


def fit(columns: Sequence[Column], rows: Sequence[Row], width: int) -> Fitted:
    """The table without columns that say nothing, and as narrow as it must be for `width`.

    Where there is no room, ids that are no UUIDs become shorter. Then spare columns are left out,
    and then ids become very short.
    """
    first, *others = (column for column in columns if not column.wide)
    texts = {column: _cells(column, rows, _LONG) for column in (first, *others)}
    telling = [column for column in others if set(texts[column]) - {_NOTHING} or not rows]
    same = [column for column in telling if len(rows) > 1 and len(set(texts[column])) == 1]
    shown = [first, *(column for column in telling if column not in same)]
    found = _narrowed(shown, rows, width)
    return Fitted(
        cells=_cut_files(found, width),
        same=[f"{column.title} {texts[column][0]}" for column in same],
        left_out=[
            column.title
            for column in columns
            if column.wide or (column in shown and column not in found)
        ],
    )


def _narrowed(columns: list[Column], rows: Sequence[Row], width: int) -> dict[Column, list[str]]:
    spare = [column for column in columns if column.spare]
    attempts = [(_WHOLE, 0), (_LONG, 0), *((_MIDDLE, count) for count in range(len(spare) + 1))]
    for form, count in attempts:
        left_out = spare[len(spare) - count :]
        found = {column: _cells(column, rows, form) for column in columns if column not in left_out}
        if _width(found) <= width:
            return found
    return {column: _cells(column, rows, _SHORT) for column in columns if column not in spare}


def _width(table: dict[Column, list[str]]) -> int:
    return sum(_GAP + _room(column, texts) for column, texts in table.items()) - _GAP


def _room(column: Column, texts: Sequence[str]) -> int:
    widest = max(map(cells, (column.title, *texts)))
    return min(widest, {"file": MIN_FILE, "text": MIN_TEXT}.get(column.kind, widest))


def _cells(column: Column, rows: Sequence[Row], form: _IdForm) -> list[str]:
    values = [row[column.field] for row in rows]
    match column.kind:
        case "id":
            ids = [value for value in values if value is not None]
            short = shorten(ids, max_whole=form.max_whole, letters=form.letters)
            return [shown_text(value if value is None else short[value]) for value in values]
        case "time":
            return [shown_text(relative_time(value)) for value in values]
        case "type":
            return [_short_type(shown_text(value)) for value in values]
    return [shown_text(value) for value in values]


def _cut_files(table: dict[Column, list[str]], width: int) -> dict[Column, list[str]]:
    """The table with file names that are cut to the room that other columns leave."""
    others = sum(
        _GAP + _room(column, texts) for column, texts in table.items() if column.kind != "file"
    )
    room = max(MIN_FILE, width - others)
    return {
        column: [cut_middle(text, room) for text in texts] if column.kind == "file" else texts
        for column, texts in table.items()
    }


def _short_type(text: str) -> str:
    return text.removeprefix("recording.").removesuffix(".v1").removesuffix("_recording")


def relative_time(value: float | datetime | None, now: float | None = None) -> str | None:
    """The time as people say it: `5m ago`, or `in 2h`."""
    if value is None:
        return None
    seconds = value.timestamp() if isinstance(value, datetime) else value
    age = (time.time() if now is None else now) - seconds
    return f"{rounded_duration(age)} ago" if age >= 0 else f"in {rounded_duration(-age)}"
