"""Two workers behind PgBouncer in its transaction mode."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandSucceeded, Completed
from tests.e2e.worker_environment import open_worker_environment, settings
from tests.forked_worker import ForkedWorkerProcess

COMMANDS = 40
POOLED = "transaction"


@pytest.fixture
async def pooled_url(pgbouncer: PgBouncer, postgresql: PostgreSQLServer) -> AsyncIterator[str]:
    url = postgresql.new_database()
    yield pgbouncer.url(url)
    postgresql.drop_database(url)


async def test_two_replicas_behind_a_transaction_pooler_share_the_work_and_take_over(
    amqp_url: str, names_prefix: str, tmp_path: Path, pooled_url: str
) -> None:
    more: dict[str, Any] = {"DATABASE_URL": pooled_url, "WORKER_DATABASE_POOLER": POOLED}
    async with open_worker_environment(amqp_url, names_prefix, tmp_path, **more) as environment:
        (tmp_path / "second").mkdir()
        known = settings(amqp_url, names_prefix, environment.sandbox, **more)
        second = ForkedWorkerProcess(known, tmp_path / "second")
        await second.start()
        try:
            await second.ready()
            for number in range(COMMANDS):
                await environment.start(f"start-{number}", meeting_id=_meeting(number))
            for number in range(COMMANDS):
                outcome = await environment.outcome(f"start-{number}")
                assert isinstance(outcome.data, CommandSucceeded)
            await environment.worker.kill()
            await environment.send(type="stop_recording", id="stop", start_id="start-0")
            assert isinstance((await environment.outcome("stop")).data, CommandSucceeded)
            await environment.event(Completed, start_id="start-0")
        finally:
            await second.stop()
        assert len(environment.requests("start_track_recording")) == COMMANDS


def _meeting(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


async def test_a_worker_that_does_not_know_of_its_pooler_names_the_setting(
    amqp_url: str, names_prefix: str, tmp_path: Path, pooled_url: str, eventually: Eventually
) -> None:
    async with open_worker_environment(amqp_url, names_prefix, tmp_path) as environment:
        known = settings(amqp_url, names_prefix, environment.sandbox, DATABASE_URL=pooled_url)
        (tmp_path / "second").mkdir()
        second = ForkedWorkerProcess(known, tmp_path / "second")
        await second.start()
        try:

            async def names_the_setting() -> bool:
                status, answer = await second.probe("/readyz")
                assert status == 503
                assert "WORKER_DATABASE_POOLER=transaction" in str(answer)
                return True

            await eventually(names_the_setting)
        finally:
            await second.stop()
