"""The objects that are built from the settings, and the connections and limits that they share."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from worker.bootstrap import Bootstrap
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.settings.settings import Settings
from worker.store.store import Store

APPS = {
    "eu": {"account_id": "one", "app_id": "eu", "api_token": "a", "api_budget": "600/300"},
    "us": {"account_id": "one", "app_id": "us", "api_token": "a", "api_budget": "100/10"},
    "asia": {"account_id": "other", "app_id": "asia", "api_token": "b"},
}


@pytest.fixture
def apps() -> dict[str, dict[str, str]]:
    return APPS


@pytest.fixture
async def bootstrap(
    sqlite_url: str, tmp_path: Path, apps: dict[str, dict[str, str]]
) -> AsyncIterator[Bootstrap]:
    path = tmp_path / "apps.json"
    path.write_text(json.dumps(apps))
    settings = Settings.from_env({"WORKER_APPS_FILE": str(path)})
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="test")
    async with AsyncExitStack() as resources:
        store = await Store.open(sqlite_url, source="test")
        resources.push_async_callback(store.close)
        yield Bootstrap(
            settings, store, metrics, Tracing(), resources, registry=registry, owner="test"
        )


def test_apps_of_one_account_share_its_budget_and_those_of_another_have_their_own(
    bootstrap: Bootstrap,
) -> None:
    assert sorted(bootstrap.budgets) == ["one", "other"]


def test_apps_of_one_account_share_what_their_sweeps_may_use(bootstrap: Bootstrap) -> None:
    rates = {app.name: app.sustained_rate for app in bootstrap.apps}
    assert rates == {
        "eu": 1.0,
        "us": 1.0,
        "asia": 4.0,
    }  # the strictest window of any app applies to all


def with_tokens(**tokens: str) -> dict[str, dict[str, str]]:
    """An app for each account, with its token."""
    return {
        account: {"account_id": account, "app_id": account, "api_token": token}
        for account, token in tokens.items()
    }


@pytest.mark.parametrize("apps", [with_tokens(a="user", b="own", c="user")])
def test_accounts_whose_apps_use_one_token_share_one_budget(bootstrap: Bootstrap) -> None:
    assert sorted(bootstrap.budgets) == ["a", "b"]
    rates = {app.name: app.sustained_rate for app in bootstrap.apps}
    assert rates == {"a": 2.0, "b": 4.0, "c": 2.0}
