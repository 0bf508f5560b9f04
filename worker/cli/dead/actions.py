"""Going through the dead letters once, and doing one thing to those that are meant."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from worker.cli.context import topology_from
from worker.cli.dead.letter import DeadLetterView, Row, Selection, made_out, row, with_new_id

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_queue import DeadLetterQueue
    from worker.settings.settings import CommonSettings

Act = Callable[["DeadLetterQueue", DeadLetterView], Awaitable[Row]]


@asynccontextmanager
async def visiting(settings: "CommonSettings") -> "AsyncIterator[DeadLetterQueue]":
    """The letters of the broker that these settings name, given back at the end."""
    from worker.broker.admin.dead_letter_queue import open_dead_letter_queue
    from worker.broker.admin.one_shot import connect

    async with (
        connect(settings.amqp_url.reveal(), "dead") as connection,
        open_dead_letter_queue(
            connection, topology_from(settings), timeout=settings.publish_timeout_seconds
        ) as letters,
    ):
        yield letters


async def look(
    settings: "CommonSettings", wanted: Selection, limit: int | None
) -> tuple[list[DeadLetterView], int]:
    """Those that are meant, without their bodies, and how many were not looked at."""
    async with visiting(settings) as letters:
        found = [one.without_body() async for one in _meant(settings, letters, wanted, limit)]
        return found, letters.remaining


async def find(settings: "CommonSettings", name: str) -> list[DeadLetterView]:
    """Every letter of this name; if there is none, the one at this position."""
    wanted = Selection(handles=frozenset([name]))
    position = int(name) if name.isascii() and name.isdigit() else None
    called, placed = [], []
    async with visiting(settings) as letters:
        async for one in _meant(settings, letters, Selection(), None):
            if wanted.matches(one):
                called.append(one)
            elif one.letter.position == position:
                placed.append(one)
    return called or placed


async def each(
    settings: "CommonSettings",
    wanted: Selection,
    limit: int | None,
    act: Act,
    tell: Callable[[Row], None],
) -> list[Row]:
    """Do it to all that are meant, oldest first, and tell of each as soon as it is done.

    A row has the members of `list` and what `act` returned.
    """
    rows: list[Row] = []
    async with visiting(settings) as letters:
        async for one in _meant(settings, letters, wanted, limit):
            rows.append({**row(one), **await act(letters, one)})
            tell(rows[-1])
    return rows


async def replay_one(letters: "DeadLetterQueue", one: DeadLetterView, *, new_id: bool) -> Row:
    """Send it back, if asked for under a new id; it stays when that cannot be done to it."""
    try:
        fresh = str(uuid.uuid4()) if new_id else None
        letter = one.letter if fresh is None else with_new_id(one, fresh)
        await letters.replay(letter)
    except ValueError as error:
        return {"result": "refused", "detail": str(error)}
    return {"result": "replayed", "new_command_id": fresh}


async def _meant(
    settings: "CommonSettings", letters: "DeadLetterQueue", wanted: Selection, limit: int | None
) -> AsyncIterator[DeadLetterView]:
    count = 0
    while count != limit and (letter := await letters.next()) is not None:
        one = made_out(letter, settings.max_command_bytes)
        if wanted.matches(one):
            count += 1
            yield one
