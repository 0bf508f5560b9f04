"""Fixtures of the fault tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.simulation import Simulation, open_simulation


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    """Broker (the shared one), emulated API and an SQLite database, with no worker yet."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_fault_environment(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        yield environment


@pytest.fixture
async def world() -> AsyncIterator[Simulation]:
    """Broker, API and clock in this process, with no replica yet."""
    async with open_simulation() as world:
        yield world
