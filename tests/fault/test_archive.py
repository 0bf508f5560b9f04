"""The archive while its storage, its sources or its workers fail: nothing is lost or doubled."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import botocore.session
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from recording_schemas import Archived, ArchiveFailed, Completed, EventData, FileArchived
from tests.fault.archive_folder import archive_settings, folder_faults
from tests.fault.fault_environment import (
    FaultEnvironment,
    open_fault_environment,
    proxy_to,
)
from tests.fault.killable_worker import KillableWorker
from tests.fault.published_events import PublishedEvents
from tests.fault.run_record import SUCCEEDED
from tests.integration.archive.object_stores import (
    ACCESS_KEY,
    BUCKET,
    SECRET_KEY,
    RcloneS3,
    s3_environ,
)
from worker.archive.folder_mark import MARK

MEGABYTE = 1_000_000
MULTIPART = 11 * MEGABYTE
MAX_RESIDENT_BYTES = 280 * MEGABYTE


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneS3]:
    with RcloneS3(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@asynccontextmanager
async def archiving(
    amqp_url: str, prefix: str, directory: Path, database: str = "", **settings: str
) -> AsyncIterator[FaultEnvironment]:
    database = database or f"sqlite:///{directory / 'state.db'}"
    async with open_fault_environment(
        amqp_url, database, directory, prefix=prefix, seed=1
    ) as environment:
        environment.settings |= archive_settings(directory, **settings)
        yield environment


async def record(environment: FaultEnvironment, meetings: int, *, people: int = 1) -> None:
    """Record this many meetings at once, and stop them."""
    names = [str(uuid.uuid4()) for _ in range(meetings)]
    for name in names:
        environment.sandbox.meetings.create(name, participants=people)
        start = {"type": "start_track_recording", "id": f"start-{name}", "meeting_id": name}
        await environment.sender.send(start, allowed=SUCCEEDED)
    for name in names:
        await environment.recorder.outcome_of(f"start-{name}")
        stop = {"type": "stop_recording", "id": f"stop-{name}", "start_id": f"start-{name}"}
        await environment.sender.send(stop, allowed=SUCCEEDED)


def published(environment: FaultEnvironment, kind: type) -> list[EventData]:
    published = PublishedEvents(environment.facts)
    return [event.data for event in published.everything() if isinstance(event.data, kind)]


async def until(environment: FaultEnvironment, kind: type, count: int) -> list[EventData]:
    await eventually(
        lambda: len(published(environment, kind)) >= count,
        seconds=60,
        description=f"{count} of {kind.__name__}",
    )
    return published(environment, kind)


def create_bucket(url: str, name: str) -> None:
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    client = botocore.session.get_session().create_client(
        "s3", region_name="us-east-1", endpoint_url=url, **keys
    )
    client.create_bucket(Bucket=name)


async def test_two_replicas_copy_each_file_once(
    amqp_url: str,
    names_prefix: str,
    postgresql: PostgreSQLServer,
    storage: RcloneS3,
    tmp_path: Path,
) -> None:
    database = postgresql.new_database()
    s3 = {**s3_environ(storage.url), "WORKER_ARCHIVE_URL": f"s3://{BUCKET}/{names_prefix}"}
    async with archiving(amqp_url, names_prefix, tmp_path, database, **s3) as environment:
        environment.sandbox.behaviour.file_bytes = MULTIPART
        workers = [environment.worker(WORKER_ARCHIVE_CONCURRENCY="1") for _ in range(2)]
        for worker in workers:
            worker.start()
        await record(environment, 4, people=3)
        found = await environment.settled()
        served = Counter(file.name for file in environment.sandbox.request_log.files_served)
    postgresql.drop_database(database)
    assert (found.violations, found.archived) == ((), 12)
    assert set(served.values()) == {1}
    assert all("file_archived" in worker.log.read_text() for worker in workers)


async def test_while_the_storage_is_unavailable_events_continue_and_memory_is_limited(
    amqp_url: str, names_prefix: str, storage: RcloneS3, tmp_path: Path
) -> None:
    async with proxy_to(storage.url) as link:
        s3 = {
            **s3_environ(f"http://127.0.0.1:{link.port}"),
            "WORKER_ARCHIVE_URL": f"s3://{BUCKET}/{names_prefix}",
        }
        async with archiving(amqp_url, names_prefix, tmp_path, **s3) as environment:
            environment.sandbox.behaviour.file_bytes = 40 * MEGABYTE
            worker = environment.worker()
            worker.start()
            await worker.ready()
            link.refuse()
            await record(environment, 5)
            await until(environment, Completed, 5)
            assert published(environment, FileArchived) == []
            link.black_hole()
            await link.restore()
            await until(environment, Archived, 5)
            peak = _peak(worker)
            found = await environment.settled()
    assert (found.violations, found.archived) == ((), 5)
    assert peak < MAX_RESIDENT_BYTES


def _peak(worker: KillableWorker) -> int:
    """The peak memory of the process."""
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def test_a_refusing_storage_is_reported_once_and_gets_the_files_later(
    amqp_url: str, names_prefix: str, storage: RcloneS3, tmp_path: Path
) -> None:
    s3 = {**s3_environ(storage.url), "WORKER_ARCHIVE_URL": f"s3://{names_prefix}/calls"}
    async with archiving(amqp_url, names_prefix, tmp_path, **s3) as environment:
        environment.worker().start()
        await record(environment, 1)
        (failed,) = await until(environment, ArchiveFailed, 1)
        assert isinstance(failed, ArchiveFailed)
        assert (failed.final, failed.attempts, failed.error.code) == (False, 5, "storage_refused")
        await asyncio.to_thread(create_bucket, storage.url, names_prefix)
        found = await environment.settled()
    assert (found.violations, found.archived) == ((), 1)
    assert len(published(environment, ArchiveFailed)) == 1


async def test_a_file_whose_url_expires_without_a_new_one_is_reported_as_final(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with archiving(amqp_url, names_prefix, tmp_path) as environment:
        environment.sandbox.behaviour.retention_seconds = 3.0
        environment.sandbox.faults.add(Fault(kind="download_refuse", status=403))
        environment.worker().start()
        await record(environment, 1)
        (failed,) = await until(environment, ArchiveFailed, 1)
        await environment.stop_all()
    assert isinstance(failed, ArchiveFailed)
    assert (failed.final, failed.error.code) == (True, "url_expired")


async def copy_stalls(environment: FaultEnvironment) -> None:
    """Record a meeting whose large file stalls during its download."""
    environment.sandbox.behaviour.file_bytes = MULTIPART
    environment.sandbox.faults.add(Fault(kind="download_stall", seconds=600.0, count=1))
    await record(environment, 1)
    await eventually(
        lambda: environment.sandbox.request_log.files_served, seconds=60, description="a download"
    )


async def test_a_worker_that_is_stopped_in_the_midst_of_a_copy_ends_at_once_and_leaves_nothing(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    patient = {"WORKER_ARCHIVE_TIMEOUT_SECONDS": "600"}
    async with archiving(amqp_url, names_prefix, tmp_path, **patient) as environment:
        worker = environment.worker()
        worker.start()
        await copy_stalls(environment)
        await until(environment, Completed, 1)
        await asyncio.to_thread(worker.stop, seconds=20.0)
        assert worker.exit_code == 0
        left = [path.name for path in (tmp_path / "archive").rglob("*") if path.is_file()]
        assert left == [MARK]
        environment.worker().start()
        found = await environment.settled()
        faults = list(folder_faults(tmp_path / "archive", environment.facts))
    assert (found.violations, found.archived, faults) == ((), 1, [])


async def test_a_database_that_restarts_in_the_midst_of_a_copy_costs_no_file_and_doubles_none(
    amqp_url: str, names_prefix: str, private_postgresql: PostgreSQLServer, tmp_path: Path
) -> None:
    database = private_postgresql.new_database()
    async with archiving(amqp_url, names_prefix, tmp_path, database) as environment:
        environment.worker().start()
        await copy_stalls(environment)
        await until(environment, Completed, 1)
        await asyncio.to_thread(private_postgresql.restart)
        found = await environment.settled()
        faults = list(folder_faults(tmp_path / "archive", environment.facts))
    assert (found.violations, found.archived, faults) == ((), 1, [])
    assert len(published(environment, FileArchived)) == 1


async def test_files_from_before_the_archive_was_switched_on_are_archived(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> None:
    async with archiving(amqp_url, names_prefix, tmp_path) as environment:
        before = environment.worker(WORKER_ARCHIVE_URL="")
        before.start()
        await record(environment, 3)
        await until(environment, Completed, 3)
        await asyncio.to_thread(before.stop)
        environment.worker().start()
        found = await environment.settled()
        faults = list(folder_faults(tmp_path / "archive", environment.facts))
    assert (found.violations, found.archived, faults) == ((), 3, [])
