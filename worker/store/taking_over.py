"""Frees the work of a replica that has ended: commands, leases, and files to archive."""

from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.archive_leases import free_owned
from worker.store.database.postgresql import REPLICA_LOCK_SEED
from worker.store.database.schema import UNFINISHED, inbox, replica_sessions
from worker.store.leases import release


class EndedReplica(msgspec.Struct, frozen=True, kw_only=True):
    """A replica whose session has ended. `now` is in seconds since the epoch.

    `call_seconds`: the replica may run without its session, so its call may last this much longer.
    `is_own`: it is the requesting replica itself, which does nothing any more.
    """

    owner: str
    now: float
    call_seconds: float
    is_own: bool


def take_over(connection: sa.Connection, request: EndedReplica) -> int | None:
    """Free the replica's work. Returns how many commands it had.

    None for a replica that has a session again, or that another replica has taken over.
    """
    # Until the commit, this lock keeps a living replica from a new session.
    if not (request.is_own or _lock(connection, request.owner)):
        return None
    session = sa.delete(replica_sessions).where(replica_sessions.c.owner == request.owner)
    if not connection.execute(session).rowcount:
        return None
    release(connection, request.owner)
    free_owned(connection, request.owner)
    times = {"now": request.now, "call_seconds": request.call_seconds}
    return connection.execute(_FREE, {"owner": request.owner, **times}).rowcount


def _lock(connection: sa.Connection, owner: str) -> bool:
    number = sa.func.hashtextextended(owner, REPLICA_LOCK_SEED)
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(number))).scalar())


_HELD: Final = (
    sa.select(inbox.c.command_id)
    .where(
        UNFINISHED,
        inbox.c.state == "running",
        inbox.c.lease_owner == sa.bindparam("owner"),
        inbox.c.lease_until > sa.bindparam("now"),
    )
    .order_by(inbox.c.command_id)  # claims lock their rows in this order
    .with_for_update()
)
_FREE: Final[sa.Update] = (
    sa.update(inbox)
    .where(inbox.c.command_id.in_(_HELD))
    .values(
        lease_until=sa.bindparam("now"),
        # By the clock at the time of the locks: until then, the owner may have claimed again.
        last_called_at=sa.case(
            (
                inbox.c.called_at.is_not(None),
                sa.extract("epoch", sa.func.clock_timestamp())
                + sa.bindparam("call_seconds", type_=sa.Double),
            )
        ),
    )
)


def unregister(connection: sa.Connection, owner: str) -> None:
    """Judge this replica by its leases only, with or without a session."""
    connection.execute(sa.delete(replica_sessions).where(replica_sessions.c.owner == owner))
