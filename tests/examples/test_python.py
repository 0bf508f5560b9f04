"""`examples/python` with the least permissions, on a real broker, worker and sandbox."""

import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import FileUrlRenewed, StatusChanged
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples import publisher_checks, subscriber_checks
from tests.examples.example_process import INTEGRATIONS, error_of, output_of
from tests.examples.file_server import CONTENT, FileServer
from tests.examples.subscriber_checks import (
    DEAD_LETTERS,
    SubscriberExample,
    has_ready,
    message_count,
)
from tests.examples.virtual_host import EXAMPLES, VirtualHost

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = EXAMPLES / "python"
PYTHON: Final = INTEGRATIONS / "python"


def owners(folder: Path) -> dict[str, str | None]:
    with closing(sqlite3.connect(folder / "seen.db")) as database:
        return dict(database.execute("select file_name, user_id from seen where path is not null"))


SUBSCRIBER: Final = SubscriberExample((PYTHON, "subscriber.py"), FOLDER, owners)


@pytest.fixture(scope="module")
def subscriber_url(virtual_host: VirtualHost, environment: WorkerEnvironment) -> str:
    return virtual_host.user("python-subscriber")


async def test_each_owner_gets_a_file_once(
    environment: WorkerEnvironment, subscriber_url: str, tmp_path: Path
) -> None:
    await subscriber_checks.check_that_each_owner_gets_a_file_once(
        SUBSCRIBER, subscriber_url, environment, tmp_path / "files"
    )


async def test_a_kill_before_the_acknowledgement_loses_nothing(
    virtual_host: VirtualHost, subscriber_url: str, tmp_path: Path
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


async def test_a_failing_server_is_asked_again_and_a_file_above_the_limit_is_dead_lettered(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    url, folder = virtual_host.amqp_url, tmp_path / "files"
    limits = "import subscriber as s; s.RETRY_SECONDS = (0.01, 0.01); s.MAX_BYTES = {}; s.run()"
    exact, less = (
        SubscriberExample((PYTHON, "-c", limits.format(most)), FOLDER, owners)
        for most in (len(CONTENT), len(CONTENT) - 1)
    )
    dead = await message_count(url, DEAD_LETTERS)
    async with FileServer(failures=2) as files:
        async with exact.running(url, folder):
            file = await subscriber_checks.publish_file(url, download_url=files.url)
            await eventually(lambda: owners(folder) == {file.file_name: file.user_id})
        async with less.running(url, folder):
            large = await subscriber_checks.publish_file(url, download_url=files.url)
            await eventually(lambda: has_ready(url, DEAD_LETTERS, dead + 1))
    assert list((folder / large.recording_id).iterdir()) == []


async def test_an_event_with_an_expired_url_is_dead_lettered_and_its_url_renewed(
    virtual_host: VirtualHost,
    environment: WorkerEnvironment,
    subscriber_url: str,
    tmp_path: Path,
) -> None:
    url, folder = virtual_host.amqp_url, tmp_path / "files"
    expired = datetime.now(UTC) - timedelta(seconds=1)
    async with SUBSCRIBER.running(subscriber_url, folder) as process:
        file, *others = await subscriber_checks.record_a_meeting(environment)
        await eventually(lambda: len(owners(folder)) == 1 + len(others))
        stored = folder / file.recording_id / file.file_name
        stored.unlink()
        dead = await message_count(url, DEAD_LETTERS)
        await subscriber_checks.publish_file(url, file=file, download_url_expiry=expired)
        await eventually(lambda: has_ready(url, DEAD_LETTERS, dead + 1))
        assert not stored.exists()
        environment.sandbox.behaviour.resign_seconds = 0
        await subscriber_checks.publish_file(url, file=file, download_url_expiry=expired)
        await environment.event(FileUrlRenewed, file_name=file.file_name)
        await eventually(stored.exists)
        await eventually(lambda: has_ready(url, DEAD_LETTERS, dead + 2))
        assert await process.terminate() == 0


async def test_the_publisher_prints_the_recording_also_when_it_is_run_again(
    virtual_host: VirtualHost, environment: WorkerEnvironment
) -> None:
    url, meeting = virtual_host.user("python-publisher"), str(uuid.uuid4())
    program = (PYTHON, "publisher.py", meeting, f"start-{meeting}")
    printed = [await output_of(program, folder=FOLDER, AMQP_URL=url) for _ in range(2)]
    status = await environment.event(StatusChanged, meeting_id=meeting)
    assert printed == [f"{status.subject}\n"] * 2


async def test_a_command_that_no_queue_takes_is_an_error(unroutable_url: str) -> None:
    program = (PYTHON, "publisher.py", str(uuid.uuid4()), "start-1")
    error = await error_of(program, folder=FOLDER, AMQP_URL=unroutable_url)
    assert "PublishError" in error


async def test_a_publisher_that_is_refused_ends(
    virtual_host: VirtualHost, environment: WorkerEnvironment
) -> None:
    await publisher_checks.check_that_a_refused_publisher_ends(
        (PYTHON, "publisher.py"), FOLDER, virtual_host
    )


async def test_a_publisher_without_its_exchange_ends(rabbitmq: RabbitMQNode) -> None:
    await publisher_checks.check_that_a_publisher_without_its_exchange_ends(
        (PYTHON, "publisher.py"), FOLDER, rabbitmq
    )
