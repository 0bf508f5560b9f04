"""`examples/node` with the least permissions, on a real broker, worker and sandbox."""

import uuid
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_schemas import StatusChanged
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples import publisher_checks, subscriber_checks
from tests.examples.example_process import error_of, output_of
from tests.examples.subscriber_checks import SubscriberExample, owners_of_files
from tests.examples.virtual_host import EXAMPLES, VirtualHost

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = EXAMPLES / "node"  # make compiles it
SUBSCRIBER: Final = SubscriberExample(("node", "dist/subscriber.js"), FOLDER, owners_of_files)


async def test_each_owner_gets_a_file_once(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_each_owner_gets_a_file_once(
        SUBSCRIBER, virtual_host.user("node-subscriber"), environment, tmp_path / "files"
    )


async def test_a_kill_before_the_acknowledgement_loses_nothing(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_a_kill_before_the_acknowledgement_loses_nothing(
        SUBSCRIBER, virtual_host.amqp_url, tmp_path / "files"
    )


async def test_poison_is_dead_lettered(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_poison_is_dead_lettered(
        SUBSCRIBER, virtual_host.amqp_url, tmp_path / "files"
    )


async def test_two_downloads_of_a_file_leave_it_whole(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_two_downloads_of_a_file_leave_it_whole(
        SUBSCRIBER, virtual_host.amqp_url, tmp_path / "files"
    )


async def test_passing_errors_of_a_server_are_not_dead_lettered(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_passing_errors_are_not_dead_lettered(
        SUBSCRIBER, virtual_host.amqp_url, tmp_path / "files", statuses=(408, 429, 503)
    )


async def test_the_publisher_prints_the_recording_also_when_it_is_run_again(
    virtual_host: VirtualHost, environment: WorkerEnvironment
) -> None:
    url, meeting = virtual_host.user("node-publisher"), str(uuid.uuid4())
    program = ("node", "dist/start.js", meeting, f"start-{meeting}")
    printed = [await output_of(program, folder=FOLDER, AMQP_URL=url) for _ in range(2)]
    status = await environment.event(StatusChanged, meeting_id=meeting)
    assert printed == [f"{status.subject}\n"] * 2


async def test_a_command_that_no_queue_takes_is_an_error(unroutable_url: str) -> None:
    program = ("node", "dist/start.js", str(uuid.uuid4()), "start-1")
    error = await error_of(program, folder=FOLDER, AMQP_URL=unroutable_url)
    assert "no queue takes commands" in error


async def test_a_publisher_that_is_refused_ends(
    virtual_host: VirtualHost, environment: WorkerEnvironment
) -> None:
    await publisher_checks.check_that_a_refused_publisher_ends(
        ("node", "dist/start.js"), FOLDER, virtual_host
    )


async def test_a_publisher_without_its_exchange_ends(rabbitmq: RabbitMQNode) -> None:
    await publisher_checks.check_that_a_publisher_without_its_exchange_ends(
        ("node", "dist/start.js"), FOLDER, rabbitmq
    )
