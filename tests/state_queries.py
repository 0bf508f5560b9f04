"""Queries of the workers' state without a worker, as the command line makes them."""

from worker.store.admin.read_only import P, Query, ResultT, open_read_only


def read_state(
    url: str,
    query: Query[P, ResultT],
    *args: P.args,
    **kwargs: P.kwargs,
) -> ResultT:
    """The result of one query to the database at this URL."""
    with open_read_only(url) as connection:
        return query(connection, *args, **kwargs)
