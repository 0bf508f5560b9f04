"""The API request budgets that replicas share: one row each."""

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.budget.ledger import Ledger, TokenGrant, TokenRequest
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import budgets

_LEDGER = msgspec.json.Decoder(Ledger)


def grant_tokens(
    connection: sa.Connection, name: str, request: TokenRequest, now: Callable[[], float]
) -> TokenGrant:
    """Grant tokens of the named budget, at the time of `now`."""
    rows = _STATE.rows(connection, {"name": name})
    ledger = _LEDGER.decode(rows[0][0]) if rows else Ledger()
    # Read the clock after the select, because the select may have waited for the row's lock.
    grant, after = ledger.apply(request, now())
    # Two replicas may insert at the same time. The second insert fails, its transaction is run
    # again and then finds the row.
    statement = _UPDATE if rows else _INSERT
    statement.execute(connection, {"name": name, "state": msgspec.json.encode(after).decode()})
    return grant


_STATE: Final = DirectStatement(
    sa.select(budgets.c.state).where(budgets.c.name == sa.bindparam("name")).with_for_update()
)
_UPDATE: Final = DirectStatement(
    sa.update(budgets)
    .where(budgets.c.name == sa.bindparam("name"))
    .values(state=sa.bindparam("state"))
)
_INSERT: Final = DirectStatement(
    sa.insert(budgets).values(name=sa.bindparam("name"), state=sa.bindparam("state"))
)
