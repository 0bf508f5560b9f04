"""A store on each database, and direct reads of its tables. Some modules have their own stores."""

from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa

from worker.store.database.engine import open_engine
from worker.store.store import Store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test")
    yield opened
    await opened.close()


@pytest.fixture
async def replicas(postgresql_url: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on one PostgreSQL database."""
    first, second = [await Store.open(postgresql_url, source="test") for _ in range(2)]
    yield first, second
    await first.close()
    await second.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """Reads the tables without the store."""
    beside = open_engine(database_url)
    yield beside
    beside.dispose()
