"""Bringing the tables up to date when the worker starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import sqlalchemy as sa

HEAD: Final = "0001"
"""The newest revision. A test compares it with the files in migrations/."""

ADVISORY_LOCK: Final = 7_265_636_072


def migrate(connection: sa.Connection, requests: Sequence[None]) -> list[None]:
    """Operation: apply what is missing. Several replicas may start at once."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    if _revision(connection) != HEAD:
        _upgrade(connection)
    return [None] * len(requests)


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: sa.Connection) -> None:
    # Imported only when there is something to do: it costs more than the rest of the start.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
