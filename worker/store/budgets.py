"""The budgets of API requests that replicas share: one row each."""

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa

from worker.budget.ledger import Ledger, TokenGrant, TokenRequest
from worker.store.database.schema import budgets

_LEDGER = msgspec.json.Decoder(Ledger)


def grant_tokens(
    connection: sa.Connection,
    requests: Sequence[tuple[str, TokenRequest]],
    *,
    now: Callable[[], float],
) -> list[TokenGrant]:
    """Operation: give leave out of the budgets named, in the order in which it was asked for."""
    return [_spend(connection, name, ask, now) for name, ask in requests]


def _spend(
    connection: sa.Connection, name: str, ask: TokenRequest, now: Callable[[], float]
) -> TokenGrant:
    state = connection.execute(
        sa.select(budgets.c.state).where(budgets.c.name == name).with_for_update()
    ).scalar_one_or_none()
    ledger = Ledger() if state is None else _LEDGER.decode(state)
    # Only now, for the lock may have been waited for.
    grant, after = ledger.apply(ask, now())
    text = msgspec.json.encode(after).decode()
    if state is None:
        # Two replicas may get here at once: the second one's insert fails, and its transaction is
        # tried again, where it finds the row.
        connection.execute(sa.insert(budgets).values(name=name, state=text))
    else:
        connection.execute(sa.update(budgets).where(budgets.c.name == name).values(state=text))
    return grant
