"""What the settings are made into: who shares what with whom."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from worker.assembly import Assembly
from worker.settings import Settings
from worker.store import Store
from worker.telemetry import Metrics
from worker.tracing import Tracing

APPS = {
    "eu": {"account_id": "one", "app_id": "eu", "api_token": "a", "api_budget": "600/300"},
    "us": {"account_id": "one", "app_id": "us", "api_token": "a", "api_budget": "100/10"},
    "asia": {"account_id": "other", "app_id": "asia", "api_token": "b"},
}


@pytest.fixture
async def assembly(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Assembly]:
    path = tmp_path / "apps.json"
    path.write_text(json.dumps(APPS))
    settings = Settings.from_env({"WORKER_APPS_FILE": str(path)})
    metrics = Metrics(CollectorRegistry(), version="test")
    async with AsyncExitStack() as rooms:
        store = await Store.open(sqlite_url, source="test")
        rooms.push_async_callback(store.close)
        yield Assembly(settings, store, metrics, Tracing(), rooms)


def test_apps_of_one_account_share_its_budget_and_those_of_another_have_their_own(
    assembly: Assembly,
) -> None:
    assert sorted(assembly.budgets) == ["one", "other"]


def test_apps_of_one_account_share_what_their_sweeps_may_use(assembly: Assembly) -> None:
    rates = {app.name: app.sustained_rate for app in assembly.apps}
    assert rates == {"eu": 1.0, "us": 1.0, "asia": 4.0}  # the scarcest window of any holds for all
