"""When the claims of commands end."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import sqlalchemy as sa

from worker.store.database.dialects import among, texts
from worker.store.database.direct import DirectStatement, Rows
from worker.store.database.schema import inbox
from worker.store.database.submissions import LateResult


def find_leases(
    connection: sa.Connection, claims: Sequence[tuple[str, str]]
) -> list[LateResult[tuple[float | None, float]]]:
    """Operation: for each claim (command id, owner), when it ends, and PostgreSQL's present time.

    The end is None if the owner does not have the command any more. Both are epoch seconds.
    """
    ids = {command_id for command_id, _ in claims}
    rows = _LEASES.later_rows(connection, {"ids": texts(connection, ids)})
    return [LateResult(rows, partial(_lease_of, claim)) for claim in claims]


def _lease_of(claim: tuple[str, str], rows: Rows) -> tuple[float | None, float]:
    until = {(command_id, owner): lease_until for command_id, owner, lease_until, _ in rows}
    return until.get(claim), float(rows[0][3]) if rows else 0.0


_LEASES: Final = DirectStatement(
    sa.select(
        inbox.c.command_id,
        inbox.c.lease_owner,
        inbox.c.lease_until,
        sa.extract("epoch", sa.func.clock_timestamp()),
    ).where(among(inbox.c.command_id, "ids"), inbox.c.state == "running")
)
