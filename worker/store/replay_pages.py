"""The pages of a large replay: only one of them waits in the outbox at a time.

    ready      the relay publishes it
    dormant    sent_at set, retry_at above 0: no index of waiting events has it
    barrier    the last event, with retry_at in the future: later events of its subject wait for it

`wake_next` makes the next page of dormant events ready when the previous page was published, and at
the end the barrier. So a large replay delays other recordings by at most one page.
"""

from typing import Final

import sqlalchemy as sa

from worker.store.database.direct import DirectStatement
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import outbox, replays
from worker.store.event_positions import PositionRange

PAGE_EVENTS: Final = 100
BARRIER_SECONDS: Final = 3600.0
"""The barrier is postponed each second, so it never becomes due by itself."""

DORMANT: Final = 1.0
"""The `retry_at` of a dormant event."""


def begin_pages(connection: sa.Connection, subject: str, block: PositionRange, now: float) -> None:
    """Make the last dormant event of the block its barrier."""
    values = {"of_subject": subject, "first": block.first, "last": block.last}
    barrier = connection.execute(_LAST_DORMANT, values).scalar_one()
    _set_barrier(connection, barrier, now)
    connection.execute(
        sa.insert(replays).values(barrier=barrier, subject=subject, next_position=block.first)
    )


def end_pages(connection: sa.Connection, subject: str) -> None:
    """Make no further pages of the subject ready, because a newer replay has all its events."""
    connection.execute(sa.delete(replays).where(replays.c.subject == subject))


def wake_next(connection: sa.Connection, now: float) -> None:
    """Make the next page of each replay ready whose last page was published."""
    for barrier, subject, next_position in _REPLAYS.rows(connection, {}):
        _wake_page(connection, barrier, subject, next_position, now)


def _wake_page(
    connection: sa.Connection, barrier: int, subject: str, next_position: int, now: float
) -> None:
    values = {"of_subject": subject, "first": next_position, "last": barrier}
    if connection.execute(_ANY_READY, values).first():
        _set_barrier(connection, barrier, now)
        return
    is_replay = replays.c.barrier == barrier
    page = connection.execute(_NEXT_PAGE, values).scalars().all()
    if page:
        _set_barrier(connection, barrier, now)
        connection.execute(_WAKE, {"of_subject": subject, "first": page[0], "last": page[-1]})
        connection.execute(sa.update(replays).where(is_replay).values(next_position=page[0]))
    else:
        connection.execute(_LIFT_BARRIER, {"barrier": barrier})
        connection.execute(sa.delete(replays).where(is_replay))
    notify_on_commit(connection, "outbox")
    notify_on_commit(connection, "replies")


def _set_barrier(connection: sa.Connection, barrier: int, now: float) -> None:
    connection.execute(_BARRIER, {"barrier": barrier, "until": now + BARRIER_SECONDS})


_IS_DORMANT: Final = sa.and_(
    outbox.c.position >= sa.bindparam("first"),
    outbox.c.position <= sa.bindparam("last"),
    outbox.c.subject == sa.bindparam("of_subject"),
    outbox.c.sent_at.is_not(None),
    outbox.c.retry_at > 0,
)
_LAST_DORMANT: Final = sa.select(sa.func.max(outbox.c.position)).where(_IS_DORMANT)
_NEXT_PAGE: Final = (
    sa.select(outbox.c.position).where(_IS_DORMANT).order_by(outbox.c.position).limit(PAGE_EVENTS)
)
_WAKE: Final = sa.update(outbox).where(_IS_DORMANT).values(sent_at=None, retry_at=0.0)
_ANY_READY: Final = (
    sa.select(outbox.c.position)
    .where(
        outbox.c.sent_at.is_(None),
        outbox.c.position >= sa.bindparam("first"),
        outbox.c.position < sa.bindparam("last"),
        outbox.c.subject == sa.bindparam("of_subject"),
        outbox.c.retry_at >= 0,
    )
    .limit(1)
)
_is_barrier: Final = outbox.c.position == sa.bindparam("barrier")
# With `losses` the barrier is not released together with events that a queue refused.
_BARRIER: Final = (
    sa.update(outbox)
    .where(_is_barrier)
    .values(sent_at=None, retry_at=sa.bindparam("until"), losses=1)
)
_LIFT_BARRIER: Final = sa.update(outbox).where(_is_barrier).values(retry_at=0.0, losses=0)
_REPLAYS: Final = DirectStatement(
    sa.select(replays.c.barrier, replays.c.subject, replays.c.next_position)
)
