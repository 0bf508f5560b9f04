"""Remembers to which RealtimeKit app the name of an app belongs."""

from hashlib import sha256
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.schema import named_times, recordings

_DIGEST_DIGITS: Final = 16


class AppIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The app that has a name now. `now` is in seconds since the epoch."""

    name: str
    account_id: str
    app_id: str
    now: float


def adopt(connection: sa.Connection, identity: AppIdentity) -> int:
    """Note the app of a name.

    If the name had another app until now, returns how many recordings of it are open. With any, the
    note stays as it was.
    """
    prefix = f"app/{identity.name}/"  # existing databases contain this
    names = named_times.c.name.startswith(prefix, autoescape=True)
    noted = set(connection.execute(sa.select(named_times.c.name).where(names)).scalars())
    name = prefix + _digest(identity)
    if noted == {name}:
        return 0
    if noted and (count := _count_open(connection, identity.name)):
        return count
    connection.execute(sa.delete(named_times).where(names))
    # Two replicas may insert at the same time. Then the second transaction is run again.
    connection.execute(sa.insert(named_times).values(name=name, at=identity.now))
    return 0


def _digest(identity: AppIdentity) -> str:
    text = f"{identity.account_id}/{identity.app_id}"
    return sha256(text.encode()).hexdigest()[:_DIGEST_DIGITS]


def _count_open(connection: sa.Connection, app: str) -> int:
    is_open = sa.and_(recordings.c.open, recordings.c.app == app)
    return connection.execute(sa.select(sa.func.count()).where(is_open)).scalar_one()
