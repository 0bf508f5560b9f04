"""When the claims of commands end."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from worker.store.database.dialects import among, texts
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import inbox


def find_leases(
    connection: sa.Connection, claims: Sequence[tuple[str, str]]
) -> list[tuple[float | None, float]]:
    """Operation: for each claim (command id, owner), when it ends, and PostgreSQL's present time.

    The end is None if the owner does not have the command any more. Both are epoch seconds.
    """
    ids = {command_id for command_id, _ in claims}
    rows = _LEASES.rows(connection, {"ids": texts(connection, ids)})
    until = {(command_id, owner): lease_until for command_id, owner, lease_until, _ in rows}
    database_time = float(rows[0][3]) if rows else 0.0
    return [(until.get(claim), database_time) for claim in claims]


_LEASES: Final = DirectStatement(
    sa.select(
        inbox.c.command_id,
        inbox.c.lease_owner,
        inbox.c.lease_until,
        sa.extract("epoch", sa.func.clock_timestamp()),
    ).where(among(inbox.c.command_id, "ids"), inbox.c.state == "running")
)
