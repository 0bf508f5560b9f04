"""The API's host name does not resolve at first."""

import asyncio
from pathlib import Path

import pytest

from tests.fault.fault_environment import FaultEnvironment
from tests.fault.host_names import HostNameTable
from tests.fault.test_api_storms import (
    COMMANDS,
    all_are_recorded_and_stopped,
    readiness,
    running,
    says_that_the_api_is_unavailable,
    send_starts,
)

NAME = "realtimekit.test"


async def test_with_an_unknown_host_name_commands_wait_and_the_worker_stops_cleanly(
    environment: FaultEnvironment,
) -> None:
    lost = await running(
        environment,
        REALTIMEKIT_BASE_URL="http://no-such-host.invalid/client/v4",
        WORKER_SHUTDOWN_SECONDS="3",
    )
    await send_starts(environment, range(COMMANDS))
    await says_that_the_api_is_unavailable(lost)
    _, why = await readiness(lost)
    assert "no-such-host.invalid" in why["api"]
    await asyncio.to_thread(lost.stop)
    assert lost.exit_code == 0
    assert not environment.recorder.outcomes
    await running(environment)
    await all_are_recorded_and_stopped(environment, range(COMMANDS))


@pytest.mark.usefixtures("bubblewrap")
async def test_a_worker_recovers_without_a_restart_when_a_host_name_resolves_again(
    environment: FaultEnvironment, tmp_path: Path
) -> None:
    names = HostNameTable(tmp_path)
    worker = environment.worker(
        within=names.within, REALTIMEKIT_BASE_URL=f"http://{NAME}:{environment.api.port}/client/v4"
    )
    worker.start()
    await worker.ready()
    await send_starts(environment, range(COMMANDS))
    await says_that_the_api_is_unavailable(worker)
    assert not environment.sandbox.request_log.requests
    names.add(NAME)
    await worker.ready()
    await all_are_recorded_and_stopped(environment, range(COMMANDS))
    assert worker.starts == 1
