"""Repeated broker restarts under a stream of commands, clean and by kill.

The long forms: FAULT_RESTARTS=50, and FAULT_STREAM=10000 commands around the restarts.
"""

import asyncio
import itertools
import os
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.reliability_report import RunFigures, report_lines
from tests.fault.test_broker_faults import running, stream
from tests.fault.work_in_progress import LONG_API_TIMEOUT, strike_during_starts

RESTARTS: Final = int(os.environ.get("FAULT_RESTARTS", "2"))
STREAM: Final = int(os.environ.get("FAULT_STREAM", "100")) // 2
"""The minimum number of meetings in the stream, each with a start and a stop."""
AT_REST: Final = STREAM // 3
"""The meetings before the first restart. A new queue may lose its leader."""
BACKLOG: Final = 50
"""The most commands that may wait for their outcomes, so that the stream lasts for all restarts."""
PASSING: Final = 10
"""The commands that are confirmed between two restarts. At least one of them gets its outcome."""


@pytest.mark.timeout(180 + 30 * RESTARTS + STREAM // 2)
async def test_repeated_broker_restarts_under_load_lose_and_duplicate_nothing(
    private_rabbitmq: RabbitMQNode, tmp_path: Path
) -> None:
    node = private_rabbitmq
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_fault_environment(
        node.amqp_url, database, tmp_path, prefix="row", seed=1
    ) as environment:
        worker = await running(environment, **LONG_API_TIMEOUT)
        await stream(environment, range(AT_REST))
        await environment.recorder.outcome_of(f"stop-{AT_REST - 1}", seconds=60 + STREAM / 4)
        async with asyncio.TaskGroup() as both:  # else a restart's failure would look like silence
            kept_restarting = both.create_task(restart_in_a_row(node, environment))
            for number in itertools.count(AT_REST):
                if kept_restarting.done() and number >= STREAM:
                    break
                await eventually(
                    lambda: environment.count_without_outcome() < BACKLOG,
                    seconds=60,
                    description="the worker follows",
                )
                await stream(environment, range(number, number + 1))
        await environment.recorder.outcome_of(f"stop-{number - 1}", seconds=120)
        found = await environment.settled(seconds=120)
    figures = report_lines(found, RunFigures(kills=RESTARTS // 2, restarts=RESTARTS, seed=1))
    print(figures)
    assert found.violations == (), figures
    assert worker.starts == 1
    assert found.confirmed == 2 * number
    assert found.recordings + environment.recorder.cancelled == number


async def restart_in_a_row(node: RabbitMQNode, environment: FaultEnvironment) -> None:
    """Stop and start the broker, by turns cleanly and by kill. Each time the stream
    continues."""
    for number in range(RESTARTS):
        await strike_during_starts(environment, node.kill if number % 2 else node.stop)
        await asyncio.to_thread(node.start)
        sent, ended = len(environment.sender.sent), len(environment.recorder.outcomes)

        def goes_on(sent: int = sent, ended: int = ended) -> bool:
            return (
                len(environment.sender.sent) >= sent + PASSING
                and len(environment.recorder.outcomes) > ended
            )

        await eventually(goes_on, seconds=60, description=f"the stream goes on after {number + 1}")
