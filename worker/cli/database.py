"""Reads the database of the workers for one command."""

from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from worker.settings.settings import CommonSettings
    from worker.store.admin.read_only import Query

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def read_state(
    settings: "CommonSettings",
    query: "Query[P, ResultT]",
    *args: P.args,
    **kwargs: P.kwargs,
) -> ResultT:
    """The result of one query to the database of DATABASE_URL. Safe while workers write.

    Raises StoreUnavailable, also if no worker, or only one of an older version, has used the
    database yet. Raises WrongSettings for a URL of no known database.
    """
    from worker.store.admin.read_only import open_read_only

    url, pooler = settings.database_url.reveal(), settings.database_pooler
    with open_read_only(url, pooler=pooler) as connection:
        return query(connection, *args, **kwargs)
