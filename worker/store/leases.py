"""Leases by name. Only the owner of a lease may do the work that it protects."""

from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.notifications import notify_on_commit
from worker.store.database.privileges import lacking_rights
from worker.store.database.schema import leases

LEADER: Final = "leader"
"""The name of the lease whose owner relays and sweeps."""

MAX_LEASE_EXCESS_SECONDS: Final = 60.0
"""The lease of another replica may end this much later than ours would, because replicas may have
other settings. One that ends later was written while the clock was ahead."""


class LeaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to hold the lease `name` until `until`. Times are seconds since the epoch."""

    name: str
    owner: str
    now: float
    until: float


class LeaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the lease is held, and which rights on tables the role lacks; None if it has all."""

    held: bool
    lacking_rights: str | None = None


def acquire(connection: sa.Connection, request: LeaseRequest) -> LeaseResult:
    """Take or extend a lease.

    It always writes, so that its commit proves that this replica can write. Without the lease, it
    writes a separate lease.
    """
    lacking = lacking_rights(connection)
    update = (
        sa.update(leases)
        .where(
            leases.c.name == request.name,
            sa.or_(leases.c.owner == request.owner, leases.c.until <= request.now),
        )
        .values(owner=request.owner, until=request.until)
    )
    extended = connection.execute(update if lacking is None else update.returning(lacking))
    if extended.rowcount:
        return LeaseResult(
            held=True, lacking_rights=None if lacking is None else extended.scalar_one()
        )
    columns = (leases.c.until,) if lacking is None else (leases.c.until, lacking)
    other = connection.execute(sa.select(*columns).where(leases.c.name == request.name)).first()
    if other is not None:
        if other.until > request.until + MAX_LEASE_EXCESS_SECONDS:
            _shorten(connection, request)
        _note_presence(connection, request)
        return LeaseResult(held=False, lacking_rights=None if lacking is None else other[1])
    # Two replicas may insert at the same time. The second insert fails, its transaction is run
    # again and then finds the lease taken.
    connection.execute(
        sa.insert(leases).values(name=request.name, owner=request.owner, until=request.until)
    )
    return LeaseResult(held=True)  # the next attempt, seconds later, shows the rights


def _shorten(connection: sa.Connection, request: LeaseRequest) -> None:
    """Shorten a lease that was written while the clock was far ahead. Its owner may still hold
    it, but no longer than a normal lease."""
    connection.execute(
        sa.update(leases)
        .where(leases.c.name == request.name, leases.c.until > request.until)
        .values(until=request.until)
    )


def _note_presence(connection: sa.Connection, request: LeaseRequest) -> None:
    name = f"replica/{request.owner}"
    updated = connection.execute(
        sa.update(leases).where(leases.c.name == name).values(until=request.until)
    )
    if not updated.rowcount:
        connection.execute(
            sa.insert(leases).values(name=name, owner=request.owner, until=request.until)
        )


def prune(connection: sa.Connection, before: float) -> None:
    """Remove the leases that ended before a time. Their owners died."""
    connection.execute(sa.delete(leases).where(leases.c.until < before))


def release(connection: sa.Connection, owner: str) -> None:
    """Release every lease of this owner."""
    if connection.execute(sa.delete(leases).where(leases.c.owner == owner)).rowcount:
        notify_on_commit(connection, "lease")


def release_all(connection: sa.Connection) -> None:
    """Delete every row of `leases`. Only for a store that no other process uses."""
    connection.execute(sa.delete(leases))
