"""Reads and removes the parked commands that are due: the relay publishes them to the queue."""

from collections.abc import Collection
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.dialects import among
from worker.store.database.direct import DirectStatement
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import parked
from worker.store.parking import NOW, WaitsFor

PAGE_SIZE: Final = 500
PAGE_BYTES: Final = 8_388_608
"""A page ends at this many bytes. It has at least one message."""


class DueCommand(msgspec.Struct, frozen=True):
    """A parked command to publish. `number` is above 0 for a repeat. `envelope` is JSON."""

    position: int
    command_id: str
    number: int
    waits_for: WaitsFor
    app: str
    subject: str
    parked_at: float
    body: bytes
    envelope: str


class ParkedCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many commands wait, and since when the oldest does, in seconds since the epoch."""

    commands: int
    oldest_at: float | None


def read_due(connection: sa.Connection, now: float) -> list[DueCommand]:
    """The parked commands that are due at `now`, those with the earliest time first."""
    sizes = _DUE.rows(connection, {"now": now})
    positions: list[int] = []
    room = PAGE_BYTES
    for position, size in sizes:
        if positions and size > room:
            break
        positions.append(position)
        room -= size
    if not positions:
        return []
    found = connection.execute(_ROWS.where(parked.c.position.in_(positions)))
    by_position = {row[0]: DueCommand(*row) for row in found}
    return [by_position[position] for position in positions if position in by_position]


_DUE: Final = DirectStatement(
    sa.select(parked.c.position, sa.func.length(parked.c.body))
    .where(parked.c.due_at <= sa.bindparam("now"), parked.c.message.is_not(None))
    .order_by(parked.c.due_at, parked.c.position)
    .limit(PAGE_SIZE)
)
_ROWS: Final = sa.select(
    *(
        parked.c.message if name == "envelope" else parked.c[name]
        for name in DueCommand.__struct_fields__
    )
)


def remove_published(connection: sa.Connection, positions: Collection[int]) -> None:
    """Remove the parkings whose messages the broker confirmed, by position.

    A repeat that was parked at the last moment becomes due, because its command is being delivered.
    """
    ids = connection.execute(
        sa.delete(parked)
        .where(parked.c.position.in_(sorted(positions)))
        .returning(parked.c.command_id, parked.c.number)
    ).all()
    _repeats_due(connection, {command_id for command_id, number in ids if number == 0})


def remove_parking(connection: sa.Connection, position: int) -> None:
    """Remove one parking: its command is being attempted."""
    connection.execute(sa.delete(parked).where(parked.c.position == position))


def remove_ended(connection: sa.Connection, command_ids: Collection[str]) -> None:
    """Remove the parkings of commands that have ended. Their repeats become due, to be answered."""
    connection.execute(
        sa.delete(parked).where(among(parked.c.command_id, "ids"), parked.c.number == 0),
        {"ids": command_ids},
    )
    _repeats_due(connection, command_ids)


def _repeats_due(connection: sa.Connection, command_ids: Collection[str]) -> None:
    if not command_ids:
        return
    change = sa.update(parked).where(
        among(parked.c.command_id, "ids"), parked.c.number > 0, parked.c.due_at > NOW
    )
    if connection.execute(change.values(due_at=NOW), {"ids": command_ids}).rowcount:
        notify_on_commit(connection, "parked")


def count_parked(connection: sa.Connection, now: float) -> dict[WaitsFor, ParkedCount]:
    """How many commands wait for each kind of subject at `now`, without repeats."""
    # A message in the retry queues may be lost: then its row stays.
    waits = sa.or_(parked.c.message.is_not(None), parked.c.due_at > now)
    found = connection.execute(
        sa.select(parked.c.waits_for, sa.func.count(), sa.func.min(parked.c.parked_at))
        .where(parked.c.number == 0, waits)
        .group_by(parked.c.waits_for)
    )
    return {
        waits_for: ParkedCount(commands=commands, oldest_at=oldest_at)
        for waits_for, commands, oldest_at in found
    }
