"""The short form of the campaign, and its promise to ask the same of each seed."""

from pathlib import Path

import pytest

from sandbox.services.postgresql import PostgreSQLServer
from tests.fault.campaign import Campaign, Options
from tests.fault.field import Field, open_field
from tests.fault.ledger import closing_lines
from tests.fault.script import plan


def test_one_seed_always_makes_the_same_commands() -> None:
    assert plan(7, 300) == plan(7, 300)
    assert plan(7, 300) != plan(8, 300)
    assert len(plan(7, 300)) == 300


@pytest.mark.timeout(300)
async def test_a_campaign_of_kills_on_sqlite_loses_and_doubles_nothing(field: Field) -> None:
    options = Options(seed=11, kills=10, commands=120)
    found, run = await Campaign(field, options, print).run()
    assert found.violations == (), closing_lines(found, run)
    assert run.kills == 10
    assert any(one.response_status == 204 for one in field.sandbox.request_log.webhooks)


@pytest.mark.timeout(300)
async def test_a_campaign_of_kills_on_two_replicas_loses_and_doubles_nothing(
    amqp_url: str, names_prefix: str, postgresql: PostgreSQLServer, tmp_path: Path
) -> None:
    database = postgresql.new_database()
    options = Options(seed=12, kills=6, commands=80, replicas=2)
    async with open_field(amqp_url, database, tmp_path, prefix=names_prefix, seed=12) as field:
        found, run = await Campaign(field, options, print).run()
    postgresql.drop_database(database)
    assert found.violations == (), closing_lines(found, run)
