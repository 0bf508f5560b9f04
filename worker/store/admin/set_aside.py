"""Publishes the events again that the broker never accepted. Workers may run."""

from collections.abc import Collection

from worker.store.admin.read_only import open_read_only, read_errors
from worker.store.database.engine import open_engine
from worker.store.database.postgresql import Pooler
from worker.store.outbox_marks import retry_set_aside


def publish_again(url: str, event_ids: Collection[str] | None, *, pooler: Pooler = "none") -> int:
    """Make the workers publish these events again. None: all that are set aside.

    Returns how many there were. Raises as `open_read_only` does.
    """
    with open_read_only(url, pooler=pooler):
        pass  # checks the database before anything is written
    engine = open_engine(url, pooler=pooler)
    try:
        with read_errors(), engine.begin() as connection:
            return retry_set_aside(connection, event_ids)
    finally:
        engine.dispose()
