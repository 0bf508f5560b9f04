"""Reads the dead-letter queue once and acts on the selected letters."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import topology_from
from worker.cli.dead.format import letter_row
from worker.cli.dead.letter import DecodedLetter, decode_letter, with_new_id
from worker.cli.dead.selection import Selection
from worker.cli.ids import candidates, pick
from worker.cli.output import Row
from worker.domain.short_ids import stands_for, without_ellipsis

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_queue import DeadLetterQueue
    from worker.settings.settings import CommonSettings

MAY_BE_HELD = "If another command or a console reads the letters at this moment, repeat this one"
"""The broker does not report that another consumer holds the letters of the queue."""

_NEW_IDS: Final = uuid.UUID("5f0c3f7e-52f4-4bb5-9d0a-6c1d0f4f9b57")
"""The namespace of new command ids. A change would give an interrupted replay another id."""

LetterAction = Callable[["DeadLetterQueue", DecodedLetter], Awaitable[Row]]
"""Acts on one letter and returns the fields of its result."""

IsKnown = Callable[[str], Awaitable[bool | None]]
"""Whether workers have received a command id before. None if that cannot be found out."""


async def list_letters(
    settings: "CommonSettings", selection: Selection, limit: int | None
) -> tuple[list[DecodedLetter], int]:
    """The selected letters, without bodies, and the number of letters that were not read."""
    async with _open_queue(settings) as queue:
        letters = [
            decoded.without_body() async for decoded in _selected(settings, queue, selection, limit)
        ]
        return letters, queue.remaining


class UnknownLetter(click.ClickException):
    """No dead letter has the name. The message has the names that begin with it."""

    def __init__(self, name: str, handles: Iterable[str]) -> None:
        begin = without_ellipsis(name)
        longer = sorted({handle for handle in handles if handle.startswith(begin)})
        known = (
            candidates(longer) or f"; `recording-worker dead list` shows the names. {MAY_BE_HELD}"
        )
        super().__init__(f"no dead letter is named {name!r}{known}")


async def find_letters(settings: "CommonSettings", name: str) -> list[DecodedLetter]:
    """The letters that the name means.

    These are the letters with this handle, else the letter at this position, else those whose
    handle begins with the name. Raises click.BadParameter if several handles do, and
    UnknownLetter.
    """
    by_handle, by_position, by_short = [], [], []
    handles: set[str] = set()
    position = int(name) if name.isascii() and name.isdigit() else None
    async with _open_queue(settings) as queue:
        async for decoded in _selected(settings, queue, Selection(), None):
            handles.add(decoded.handle)
            if decoded.handle == name:
                by_handle.append(decoded)
            elif decoded.letter.position == position:
                by_position.append(decoded)
            elif stands_for(name, decoded.handle):
                by_short.append(decoded)
    if by_handle or by_position:
        return by_handle or by_position
    if not by_short:
        raise UnknownLetter(name, handles)
    pick("LETTER", name, sorted({decoded.handle for decoded in by_short}))
    return by_short


async def act_on_letters(
    settings: "CommonSettings",
    selection: Selection,
    limit: int | None,
    action: LetterAction,
    report: Callable[[Row], None],
) -> list[Row]:
    """Act on every selected letter, oldest first, and report each as soon as it is done.

    A row has the fields of `dead list` and those that `action` returned.
    """
    rows: list[Row] = []
    async with _open_queue(settings) as queue:
        async for decoded in _selected(settings, queue, selection, limit):
            rows.append({**letter_row(decoded), **await action(queue, decoded)})
            report(rows[-1])
    return rows


async def replay_letter(
    queue: "DeadLetterQueue", decoded: DecodedLetter, *, is_known: IsKnown | None
) -> Row:
    """Send the letter back. If that is impossible, the letter stays.

    With `is_known` the command gets a new id. It is then known already if an earlier replay of this
    letter was interrupted after it had sent the copy.
    """
    new_command_id = was_known = None
    letter = decoded.letter
    try:
        if is_known is not None:
            new_command_id = _new_id_of(decoded)
            letter = with_new_id(decoded, new_command_id)
            was_known = await is_known(new_command_id)  # before the copy arrives
        await queue.replay(letter)
    except ValueError as error:
        return {"result": "refused", "detail": str(error)}
    result: Row = {"result": "replayed", "new_command_id": new_command_id}
    return result if is_known is None else {**result, "sent_before": was_known}


def _new_id_of(decoded: DecodedLetter) -> str:
    """The id that each replay of this letter gives its command.

    An interrupted replay may leave both the letter and its copy. The next replay must not make a
    second command of it.
    """
    return str(uuid.uuid5(_NEW_IDS, decoded.fingerprint))


async def drop_letter(queue: "DeadLetterQueue", decoded: DecodedLetter) -> Row:
    """Remove the letter from the queue permanently."""
    await queue.drop(decoded.letter)
    return {"result": "dropped"}


@asynccontextmanager
async def _open_queue(settings: "CommonSettings") -> "AsyncIterator[DeadLetterQueue]":
    """The dead-letter queue that these settings name. At the end, the letters are requeued."""
    from worker.broker.admin.dead_letter_queue import open_dead_letter_queue
    from worker.broker.admin.one_shot import connect

    timeout = settings.publish_timeout_seconds
    async with (
        connect(settings.amqp_url.reveal(), "dead") as connection,
        open_dead_letter_queue(connection, topology_from(settings), timeout=timeout) as queue,
    ):
        yield queue


async def _selected(
    settings: "CommonSettings", queue: "DeadLetterQueue", selection: Selection, limit: int | None
) -> AsyncIterator[DecodedLetter]:
    count = 0
    while count != limit and (letter := queue.next()) is not None:
        decoded = decode_letter(letter, settings.max_command_bytes)
        if selection.matches(decoded):
            count += 1
            yield decoded
