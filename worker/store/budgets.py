"""The API request budgets that replicas share: one row each."""

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
    """Operation: grant tokens of the named budgets, in the order of the requests."""
    return [_grant(connection, name, request, now) for name, request in requests]


def _grant(
    connection: sa.Connection, name: str, request: TokenRequest, now: Callable[[], float]
) -> TokenGrant:
    state = connection.execute(
        sa.select(budgets.c.state).where(budgets.c.name == name).with_for_update()
    ).scalar_one_or_none()
    ledger = Ledger() if state is None else _LEDGER.decode(state)
    # Read the clock after the select, because the select may have waited for the row's lock.
    grant, after = ledger.apply(request, now())
    text = msgspec.json.encode(after).decode()
    if state is None:
        # Two replicas may insert at the same time. The second insert fails, its transaction is run
        # again, and then it finds the row.
        connection.execute(sa.insert(budgets).values(name=name, state=text))
    else:
        connection.execute(sa.update(budgets).where(budgets.c.name == name).values(state=text))
    return grant
