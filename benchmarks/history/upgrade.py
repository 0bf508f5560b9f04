"""Measures each migration on a long history, as the worker runs it when it starts."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from benchmarks.history.fill import driver_execute, patient_engine
from benchmarks.history.results import UpgradeStep
from worker.store.database.engine import open_engine
from worker.store.database.migrate import revision_of

MIGRATIONS: Final = Path(__file__).parents[2] / "worker/store/migrations"
OLDEST: Final = "0001"
LATEST: Final = 5
"""The number of versions before the newest one whose upgrade is measured with full tables."""


def revisions() -> list[str]:
    """All revisions, the oldest first."""
    scripts = ScriptDirectory.from_config(_config(None))
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def bring_to(url: str, revision: str) -> None:
    """Upgrade or downgrade the tables to a revision, however long it takes."""
    engine = patient_engine(url)
    with engine.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if is_sqlite:
            driver_execute(connection, "PRAGMA journal_mode=OFF")
        with connection.begin():
            known = revision_of(connection)
            move = command.upgrade if known is None or known < revision else command.downgrade
            move(_config(connection), revision)
        if is_sqlite:
            driver_execute(connection, "PRAGMA journal_mode=WAL")
    engine.dispose()


def upgrade(url: str, rows: int, first: str, say: Callable[[str], None]) -> list[UpgradeStep]:
    """Apply the migrations behind `first` one by one, each as a worker that starts does."""
    steps = []
    for revision in revisions():
        if revision <= first:
            continue
        steps.append(_step(url, rows, revision))
        say(f"migration {revision}: {steps[-1].seconds:.2f} s {steps[-1].error or ''}")
        if steps[-1].error:
            bring_to(url, revision)
    return steps


def _step(url: str, rows: int, revision: str) -> UpgradeStep:
    engine = open_engine(url)
    error = None
    began = time.monotonic()
    try:
        with engine.begin() as connection:
            command.upgrade(_config(connection), revision)
    except sa.exc.DBAPIError as caught:
        error = str(caught.orig).splitlines()[0]
    engine.dispose()
    return UpgradeStep(revision=revision, rows=rows, seconds=time.monotonic() - began, error=error)


def _config(connection: sa.Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
