"""Lists the events that the broker never took, and publishes them again. Workers may run."""

from collections.abc import Collection

from worker.store.admin.read_only import open_read_only, read_errors
from worker.store.database.engine import open_engine
from worker.store.database.postgresql import Pooler
from worker.store.outbox_marks import SetAsideEvent, retry_set_aside, set_aside_events


def read_set_aside(url: str, limit: int, *, pooler: Pooler = "none") -> list[SetAsideEvent]:
    """The oldest events that are set aside. `url` is a DATABASE_URL.

    Raises StoreUnavailable and WrongSettings as `read_recordings` does.
    """
    with open_read_only(url, pooler=pooler) as connection:
        return set_aside_events(connection, limit)


def publish_again(url: str, event_ids: Collection[str] | None, *, pooler: Pooler = "none") -> int:
    """Make the workers publish these events again. None: all that are set aside.

    Returns how many there were. Raises as `read_set_aside` does.
    """
    with open_read_only(url, pooler=pooler):
        pass  # checks the database before anything is written
    engine = open_engine(url, pooler=pooler)
    try:
        with read_errors(), engine.begin() as connection:
            return retry_set_aside(connection, event_ids)
    finally:
        engine.dispose()
