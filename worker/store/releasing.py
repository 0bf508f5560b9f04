"""Returns a claimed command when an attempt has ended and the command has not."""

from typing import Any

import msgspec
import sqlalchemy as sa

from worker.store.acted_on import add_acted_on
from worker.store.database.schema import UNFINISHED, inbox
from worker.store.outbox import Reply


class ReleaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that did not end the command.

    `uncertain`: the call of this attempt, or of an earlier one, may have been executed.
    `called_until`: the last moment at which this attempt may have called; None if it did not call.
    `acted_on`: the recordings that this and the earlier attempts acted on. `reply`: for a start,
    the address for its outcome if a stop ends it before its message is delivered again.

    If `owner` no longer has the command, nothing changes: another replica has taken it over, and
    may have called since. None means any owner.
    """

    command_id: str
    uncertain: bool
    last_error: str
    owner: str | None = None
    called_until: float | None = None
    acted_on: tuple[str, ...] = ()
    reply: Reply | None = None


def release(connection: sa.Connection, request: ReleaseRequest) -> None:
    """Return a command for a later attempt."""
    own = [inbox.c.command_id == request.command_id, inbox.c.state == "running"]
    if request.owner is not None:
        own.append(inbox.c.lease_owner == request.owner)
    released = sa.update(inbox).where(*own).values(_columns_after_release(request))
    if connection.execute(released).rowcount and request.acted_on:
        add_acted_on(connection, request.command_id, request.acted_on)


def _columns_after_release(request: ReleaseRequest) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "state": "waiting",
        "crashes": 0,
        "stopping": None,
        "lease_owner": None,
        "lease_until": None,
        "last_error": request.last_error,
    }
    if not request.uncertain:
        columns |= {"holds": None, "called_at": None, "last_called_at": None, "people": None}
    elif request.called_until is not None:
        columns["last_called_at"] = request.called_until
    if request.reply is not None:
        columns["reply"] = msgspec.json.encode(request.reply).decode()
    return columns


def free_leases(connection: sa.Connection) -> None:
    """End the lease of every claimed command.

    Only for a store that no other process uses.
    """
    connection.execute(
        sa.update(inbox).where(UNFINISHED, inbox.c.lease_owner.is_not(None)).values(lease_until=0.0)
    )
