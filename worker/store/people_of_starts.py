"""Stores the people whom a start by custom ids asks the API to record.

When participants are added, custom ids may mean other people. A start whose answer was lost must
send the same participants again, and they identify its recording.
"""

import msgspec
import sqlalchemy as sa

from worker.domain.meeting_participants import People
from worker.store.database.schema import inbox


class PeopleOfStart(msgspec.Struct, frozen=True, kw_only=True):
    """The participants that the claimed start is about to request."""

    command_id: str
    owner: str
    people: People


def keep_people(connection: sa.Connection, request: PeopleOfStart) -> bool:
    """Store them with the command. False if the owner does not have the command."""
    changed = connection.execute(
        sa.update(inbox)
        .where(
            inbox.c.command_id == request.command_id,
            inbox.c.state == "running",
            inbox.c.lease_owner == request.owner,
        )
        .values(people=msgspec.json.encode(request.people).decode())
    )
    return changed.rowcount == 1
