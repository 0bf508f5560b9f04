"""Shows and changes dead letters for the page, with the functions of `recording-worker dead`.

Each call receives all letters from the queue and requeues them, so only one runs at a time.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from worker.cli.dead.actions import (
    IsKnown,
    LetterAction,
    act_on_letters,
    drop_letter,
    find_letters,
    list_letters,
    replay_letter,
)
from worker.cli.dead.format import letter_details, letter_row
from worker.cli.dead.letter import DecodedLetter, with_new_id
from worker.cli.dead.selection import Selection
from worker.cli.output import Row
from worker.cli.text import counted
from worker.settings.settings import CommonSettings

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_queue import DeadLetterQueue

MAX_LISTED: Final = 1000
MAX_NAMED: Final = 8
WALK_TIMEOUT_SECONDS: Final = 60.0

Report = Callable[[Row], None]


class DeadLetters:
    """The dead-letter queue that the settings name. Methods raise BrokerUnavailable, and
    TopologyDiffers if there is no such queue."""

    def __init__(self, settings: CommonSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()

    async def listed(self) -> dict[str, Any]:
        """The oldest letters, without their bodies, and how many more there are."""
        async with self._lock, asyncio.timeout(WALK_TIMEOUT_SECONDS):
            letters, unread = await list_letters(self._settings, Selection(), MAX_LISTED)
        rows = [{**letter_row(decoded), "fingerprint": decoded.fingerprint} for decoded in letters]
        return {"letters": rows, "unread": unread}

    async def details(self, name: str) -> list[Row]:
        """Everything about the letters of this name, with possible secrets redacted."""
        async with self._lock, asyncio.timeout(WALK_TIMEOUT_SECONDS):
            letters = await find_letters(self._settings, name)
        return [
            {**letter_details(decoded, raw=False), "fingerprint": decoded.fingerprint}
            for decoded in letters
        ]

    async def replay_preview(self, fingerprints: Collection[str], *, new_id: bool) -> list[str]:
        """What a replay of these letters would do, in sentences."""

        async def pretend(_queue: "DeadLetterQueue", decoded: DecodedLetter) -> Row:
            return {"refused": _refusal(decoded) if new_id else None}

        rows = await self._walk(fingerprints, pretend)
        return list(_replay_lines(rows, len(fingerprints), new_id=new_id))

    async def drop_preview(self, fingerprints: Collection[str]) -> list[str]:
        """What dropping these letters would mean, in sentences."""

        async def pretend(_queue: "DeadLetterQueue", _decoded: DecodedLetter) -> Row:
            return {}

        rows = await self._walk(fingerprints, pretend)
        lines = [
            f"{counted(len(rows), 'letter')} will be removed permanently.",
            "A dropped letter cannot be restored.",
        ]
        return [*lines, *gone_lines(rows, len(fingerprints)), *_names(rows)]

    async def replay(
        self, fingerprints: Collection[str], *, is_known: IsKnown | None, report: Report
    ) -> list[Row]:
        """Send these letters back to the queue of commands, under new ids with `is_known`. Reports
        each as soon as it is done."""

        async def act(queue: "DeadLetterQueue", decoded: DecodedLetter) -> Row:
            return await replay_letter(queue, decoded, is_known=is_known)

        return await self._walk(fingerprints, act, report)

    async def drop(self, fingerprints: Collection[str], *, report: Report) -> list[Row]:
        """Remove these letters permanently. Reports each as soon as it is done."""
        return await self._walk(fingerprints, drop_letter, report)

    async def _walk(
        self,
        fingerprints: Collection[str],
        action: LetterAction,
        report: Report = lambda _row: None,
    ) -> list[Row]:
        selection = Selection(fingerprints=frozenset(fingerprints))
        async with self._lock, asyncio.timeout(WALK_TIMEOUT_SECONDS):
            return await act_on_letters(self._settings, selection, None, action, report)


def _refusal(decoded: DecodedLetter) -> str | None:
    """Why the letter cannot get a new id. None if it can."""
    try:
        with_new_id(decoded, "new")
    except ValueError as error:
        return str(error)
    return None


def _replay_lines(rows: list[Row], selected: int, *, new_id: bool) -> list[str]:
    refused = [row for row in rows if row["refused"]]
    sent = [row for row in rows if not row["refused"]]
    ended = sum(bool(row["has_outcome"]) for row in sent)
    lines = []
    if new_id and sent:
        lines.append(
            f"{counted(len(sent), 'letter')} will go back to the queue of commands, each under a "
            "new id. Workers execute them, which may repeat what the old commands did."
        )
    elif sent:
        lines.append(f"{counted(len(sent), 'letter')} will go back to the queue of commands.")
    if ended and not new_id:
        lines.append(
            f"{ended} of them already ended with an outcome: workers will not execute that id "
            "again, they publish the same outcome once more. Use a new id to have it executed."
        )
    lines += [f"{row['letter']} will stay: {row['refused']}." for row in refused[:MAX_NAMED]]
    return [*lines, *gone_lines(rows, selected), *_names(sent)]


def gone_lines(rows: Sequence[Row], selected: int) -> list[str]:
    """How many of the selected letters were not in the queue. The broker does not give the
    reason."""
    if (missing := selected - len(rows)) <= 0:
        return []
    text = (
        f"Not in the queue: {counted(missing, 'letter')}. They were replayed or dropped, or "
        "another console or `recording-worker dead` reads them at this moment."
    )
    return [text]


def _names(rows: list[Row]) -> list[str]:
    lines = [
        f"{row['command_type']} {row['letter']} ({row['reason_code']})" for row in rows[:MAX_NAMED]
    ]
    more = len(rows) - MAX_NAMED
    return [*lines, *([f"and {more} more"] if more > 0 else [])]
