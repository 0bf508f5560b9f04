"""Run by Alembic inside the connection and transaction of `worker.store.database.migrate`."""

from alembic import context

from worker.store.database import archive_schema  # noqa: F401 - its tables are part of `metadata`
from worker.store.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
