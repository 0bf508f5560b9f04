"""The bench of the tests of tracking. Some modules have their own."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.tracking_bench import TrackingBench, open_bench


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[TrackingBench]:
    """Sweep and reads with an emulated API and an SQLite store, without a broker."""
    async with open_bench(sqlite_url) as opened:
        yield opened
