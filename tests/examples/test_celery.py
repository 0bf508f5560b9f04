"""`examples/celery` with the least permissions, on a real broker, worker and sandbox."""

import uuid
from pathlib import Path
from typing import Final

import pytest

from recording_schemas import CommandSucceeded
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples.example_process import INTEGRATIONS, error_of, output_of, running
from tests.examples.virtual_host import EXAMPLES, VirtualHost

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = EXAMPLES / "celery"
WORKER: Final = (
    *(INTEGRATIONS / "celery", "--app", "tasks", "worker", "--pool", "solo", "--loglevel", "info"),
    *("--without-gossip", "--without-mingle"),
)
PYTHON: Final = INTEGRATIONS / "python"


async def test_a_task_starts_the_recording_once_also_when_it_runs_twice(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    url, meeting = virtual_host.user("celery-publisher"), str(uuid.uuid4())
    calls = f"import tasks; [tasks.start_recording.delay({meeting!r}, 'start-1') for _ in 'ab']"
    async with running(WORKER, folder=FOLDER, log=tmp_path / "log", AMQP_URL=url) as celery:
        await output_of((PYTHON, "-c", calls), folder=FOLDER, AMQP_URL=url)
        outcome = await environment.outcome("start-1")
        assert isinstance(outcome.data, CommandSucceeded)
        await celery.has_logged("succeeded in", times=2)
        assert await celery.terminate() == 0
    assert len(environment.requests("start_track_recording")) == 1


async def test_a_command_that_no_queue_takes_is_an_error(unroutable_url: str) -> None:
    calls = f"import tasks; tasks.start_recording({str(uuid.uuid4())!r}, 'start-1')"
    error = await error_of((PYTHON, "-c", calls), folder=FOLDER, AMQP_URL=unroutable_url)
    assert "NO_ROUTE" in error
