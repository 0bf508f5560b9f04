"""Histories of real workers against the stand-in for the API, judged by the checker."""

from pathlib import Path

import pytest

from recording_sandbox.services.postgresql import PostgreSQLServer
from tests.oracle.behaviour import Behaviour
from tests.oracle.checker import violations
from tests.oracle.history import Script, draw_script, run_history
from tests.oracle.replicas import Place

CALM = Behaviour(
    first_page=0,
    has_paging=False,
    list_lag=0.2,
    bare_answer=True,
    track_files="links",
    files_spread=0.2,
    start_seconds=0.2,
    upload_seconds=0.2,
    trouble=0.1,
    webhooks="bad",
)


async def test_a_short_history_keeps_every_guarantee(
    amqp_url: str, sqlite_url: str, names_prefix: str, tmp_path: Path
) -> None:
    settings = {
        "WORKER_API_BUDGET": "1000/50",
        "WORKER_INVOKED_TIMEOUT_SECONDS": "3",
        "WORKER_FILES_WAIT_SECONDS": "2",
        "WORKER_FILES_LATE_SECONDS": "1",
        "WORKER_STOP_WAIT_SECONDS": "1",
        "WORKER_SESSION_WAIT_SECONDS": "1",
    }
    script = Script(4, CALM, settings, seconds=1.5, pause=0.1, strike_pause=None)
    evidence = await run_history(script, Place(amqp_url, sqlite_url, tmp_path, names_prefix))
    assert violations(evidence) == []
    assert len(evidence.commands()) > 5
    assert evidence.truth.of_worker()


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1, 11))
async def test_a_random_history_keeps_every_guarantee(
    seed: int, amqp_url: str, names_prefix: str, postgresql: PostgreSQLServer, tmp_path: Path
) -> None:
    script = draw_script(seed)
    database = postgresql.new_database()
    url = database if script.replicas > 1 else f"sqlite:///{tmp_path / 'state.db'}"
    evidence = await run_history(script, Place(amqp_url, url, tmp_path, names_prefix))
    postgresql.drop_database(database)
    assert violations(evidence) == []
