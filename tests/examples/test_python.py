"""`examples/python` with the least permissions, on a real broker, worker and sandbox."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.waiting import eventually
from recording_schemas import FileUrlRenewed
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples import subscriber_checks
from tests.examples.example_process import INTEGRATIONS
from tests.examples.file_server import CONTENT, FileServer
from tests.examples.publisher_tests import PublisherTests
from tests.examples.subscriber_checks import (
    DEAD_LETTERS,
    SubscriberExample,
    has_ready,
    message_count,
)
from tests.examples.subscriber_tests import SubscriberTests
from tests.examples.virtual_host import EXAMPLES, VirtualHost

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = EXAMPLES / "python"
PYTHON: Final = INTEGRATIONS / "python"


def owners(folder: Path) -> dict[str, str | None]:
    with closing(sqlite3.connect(folder / "seen.db")) as database:
        return dict(database.execute("select file_name, user_id from seen where path is not null"))


SUBSCRIBER: Final = SubscriberExample((PYTHON, "subscriber.py"), FOLDER, owners)


class TestSubscriber(SubscriberTests):
    example = SUBSCRIBER
    user = "python-subscriber"


class TestPublisher(PublisherTests):
    program = (PYTHON, "publisher.py")
    folder = FOLDER
    user = "python-publisher"


async def test_a_failing_server_is_asked_again_and_a_file_above_the_limit_is_dead_lettered(
    virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
) -> None:
    url, folder = virtual_host.amqp_url, tmp_path / "files"
    limits = (
        "import subscriber as s; s.RETRY_DELAYS_SECONDS = (0.01, 0.01); s.MAX_BYTES = {}; s.run()"
    )
    exact, less = (
        SubscriberExample((PYTHON, "-c", limits.format(max_bytes)), FOLDER, owners)
        for max_bytes in (len(CONTENT), len(CONTENT) - 1)
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
    tmp_path: Path,
) -> None:
    url, folder = virtual_host.amqp_url, tmp_path / "files"
    expired = datetime.now(UTC) - timedelta(seconds=1)
    async with SUBSCRIBER.running(virtual_host.user("python-subscriber"), folder) as process:
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
