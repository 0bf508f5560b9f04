"""`examples/go` with the least permissions, on a real broker, worker and sandbox."""

from pathlib import Path
from typing import Final

import pytest

from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples import subscriber_checks
from tests.examples.example_process import ROOT
from tests.examples.subscriber_checks import SubscriberExample, owners_of_files
from tests.examples.virtual_host import VirtualHost

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = ROOT / "var" / "examples" / "go"  # make builds it there
SUBSCRIBER: Final = SubscriberExample((FOLDER / "recording-subscriber",), FOLDER, owners_of_files)


async def test_each_owner_gets_a_file_once(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_each_owner_gets_a_file_once(
        SUBSCRIBER, virtual_host.user("go-subscriber"), environment, tmp_path / "files"
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
