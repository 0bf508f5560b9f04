"""What the fault tests stand on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fault.field import Field, open_field
from tests.fault.forks import FORKS


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[None]:
    """The process that workers are forked from ends with the last test."""
    yield
    if FORKS is not None:
        FORKS.close()


@pytest.fixture
async def field(amqp_url: str, names_prefix: str, tmp_path: Path) -> AsyncIterator[Field]:
    """Broker (the shared one), emulated API and an SQLite database, with no worker yet."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_field(amqp_url, database, tmp_path, prefix=names_prefix, seed=1) as field:
        yield field
