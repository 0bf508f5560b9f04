"""Leases by name: what only one replica may do at a time."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import leases


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to hold the lease `name` until `until`. Times are seconds since the epoch."""

    name: str
    owner: str
    now: float
    until: float


def acquire(connection: sa.Connection, requests: Sequence[LeaseRequest]) -> list[bool]:
    """Operation: take or extend leases; False for one that somebody else holds."""
    return [_hold(connection, request) for request in requests]


def _hold(connection: sa.Connection, wish: LeaseRequest) -> bool:
    extended = connection.execute(
        sa.update(leases)
        .where(
            leases.c.name == wish.name,
            sa.or_(leases.c.owner == wish.owner, leases.c.until <= wish.now),
        )
        .values(owner=wish.owner, until=wish.until)
    )
    if extended.rowcount:
        return True
    taken = connection.execute(
        sa.select(leases.c.owner).where(leases.c.name == wish.name)
    ).one_or_none()
    if taken is not None:
        return False
    # Two replicas may get here at once: the second one's insert fails, and its transaction is
    # tried again, where it finds the lease taken.
    connection.execute(sa.insert(leases).values(name=wish.name, owner=wish.owner, until=wish.until))
    return True


def release(connection: sa.Connection, owners: Sequence[str]) -> list[None]:
    """Operation: give up every lease of these owners."""
    given_up = connection.execute(sa.delete(leases).where(leases.c.owner.in_(sorted(owners))))
    if given_up.rowcount:
        notify_on_commit(connection, "lease")
    return [None] * len(owners)


def release_all(connection: sa.Connection, requests: Sequence[None]) -> list[None]:
    """Operation: end every lease. Only for a store that no other process can be using."""
    connection.execute(sa.delete(leases))
    return [None] * len(requests)
