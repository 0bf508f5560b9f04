from worker.store.admin.copy import COPIED
from worker.store.database import archive_schema  # noqa: F401 - its tables are part of `metadata`
from worker.store.database.schema import metadata

OF_RUNNING_REPLICAS = {"leases", "replica_sessions"}


def test_every_table_is_copied_but_those_of_replicas_that_run() -> None:
    copied = {table.name for table in COPIED}
    assert metadata.tables.keys() - copied == OF_RUNNING_REPLICAS
