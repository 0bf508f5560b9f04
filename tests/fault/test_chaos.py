"""Short campaigns. A seed always gives the same commands."""

from pathlib import Path

import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from tests.fault.campaign import Campaign, CampaignOptions
from tests.fault.campaign_commands import plan_messages
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.reliability_report import report_lines


def test_one_seed_always_gives_the_same_commands() -> None:
    assert plan_messages(7, 300) == plan_messages(7, 300)
    assert plan_messages(7, 300) != plan_messages(8, 300)
    assert len(plan_messages(7, 300)) == 300


@pytest.mark.timeout(300)
async def test_random_kills_on_sqlite_lose_and_duplicate_nothing(
    environment: FaultEnvironment,
) -> None:
    options = CampaignOptions(seed=11, kills=10, commands=120)
    found, run = await Campaign(environment, options, print).run()
    assert found.violations == (), report_lines(found, run)
    assert run.kills == 10
    assert any(
        delivery.response_status == 204 for delivery in environment.sandbox.request_log.webhooks
    )


@pytest.mark.timeout(300)
async def test_random_kills_of_two_replicas_lose_and_duplicate_nothing(
    amqp_url: str, names_prefix: str, postgresql: PostgreSQLServer, tmp_path: Path
) -> None:
    database = postgresql.new_database()
    options = CampaignOptions(seed=12, kills=6, commands=80, replicas=2)
    async with open_fault_environment(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=12
    ) as environment:
        found, run = await Campaign(environment, options, print).run()
    postgresql.drop_database(database)
    assert found.violations == (), report_lines(found, run)
