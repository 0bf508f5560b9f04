"""The bench of the tests of commands. Some modules have their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.command_bench import CommandBench, open_command_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[CommandBench]:
    """The command handler with an emulated API and an SQLite store, without a broker."""
    async with open_command_bench(tmp_path) as opened:
        yield opened
