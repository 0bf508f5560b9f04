"""`recording-worker archive` as a process, with a store and a broker."""

import asyncio
import hashlib
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pytest
from aio_pika.abc import AbstractChannel

from recording_schemas import ErrorInfo, Status, decode_command
from tests.integration.cli_process import EXECUTABLE, CommandLine
from tests.store_requests import observation_of
from worker.archive.manifest import compose_manifest
from worker.archive.storage import ArchiveStorage
from worker.cli.exit_codes import INTERRUPTED
from worker.domain.archive import CopiedFile
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.archive_queue import FileTask, TakeRequest
from worker.store.archive_results import CopyFailure, CopyResult, ManifestResult
from worker.store.store import Store

BODY: Final = b"sound" * 1000
ARCHIVED: Final = "5f0f1d2e-1111-4222-8333-944455556666"
FAILED: Final = "6f0f1d2e-1111-4222-8333-944455556666"
EVIL: Final = "evil\x1b[31m/../name.webm"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    path.mkdir()
    return path


@pytest.fixture
def cli(
    amqp_url: str, names_prefix: str, sqlite_url: str, folder: Path, tmp_path: Path
) -> CommandLine:
    return CommandLine(
        {
            "AMQP_URL": amqp_url,
            "WORKER_NAME_PREFIX": names_prefix,
            "DATABASE_URL": sqlite_url,
            "WORKER_ARCHIVE_URL": folder.as_uri(),
        },
        tmp_path,
    )


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """A store with one archived recording of two files, and one whose file was given up."""
    opened = await Store.open(sqlite_url, source="test", archives=True)
    yield opened
    await opened.close()


@pytest.fixture
async def filled(store: Store, folder: Path) -> Store:
    await _end(store, ARCHIVED, "a.webm", EVIL)
    await _end(store, FAILED, "lost.webm")
    storage = ArchiveStorage.open(folder.as_uri())
    for number, task in enumerate(await store.archive.take_files(_request())):
        if task.recording_id == FAILED:
            await _give_up(store, task)
        else:
            await _archive(store, storage, task, f"{ARCHIVED}/{number}.webm")
    await _write_manifest(store, storage)
    return store


def _request() -> TakeRequest:
    now = datetime.now(UTC).timestamp()
    return TakeRequest(owner="me", now=now + 1, until=now + 60, limit=10)


async def _end(store: Store, recording_id: str, *names: str) -> None:
    now = datetime.now(UTC)
    files = tuple(
        TrackFile(file_name=name, media_kind="audio", download_url="https://files.test/x")
        for name in names
    )
    snapshot = RecordingSnapshot(
        recording_id=recording_id, status=Status.UPLOADED, kind="track", meeting_id="m"
    )
    await store.apply([observation_of(snapshot, now, files=files, files_final=True)])


async def _archive(store: Store, storage: ArchiveStorage, task: FileTask, key: str) -> None:
    await storage.put(key, BODY, "audio/webm")
    copied = CopiedFile(
        archive_url=storage.url_of(key),
        size_bytes=len(BODY),
        sha256=hashlib.sha256(BODY).hexdigest(),
        content_type="audio/webm",
    )
    await store.archive.copy_done(_result(task, copied))


def _result(task: FileTask, copied: CopiedFile) -> CopyResult:
    return CopyResult(
        recording_id=task.recording_id,
        file_index=task.file_index,
        round=task.round,
        owner="me",
        copied=copied,
        now=datetime.now(UTC).timestamp(),
    )


async def _give_up(store: Store, task: FileTask) -> None:
    await store.archive.copy_failed(
        CopyFailure(
            recording_id=task.recording_id,
            file_index=task.file_index,
            round=task.round,
            owner="me",
            error=ErrorInfo(code="url_expired", message="too late"),
            now=datetime.now(UTC).timestamp(),
        )
    )


async def _write_manifest(store: Store, storage: ArchiveStorage) -> None:
    for task in await store.archive.take_manifests(_request()):
        archive = await store.archive.read(task.recording_id)
        assert archive is not None
        key = f"{task.recording_id}/manifest.json"
        await storage.put(key, msgspec.json.encode(compose_manifest(archive)), "application/json")
        await store.archive.manifest_done(
            ManifestResult(
                recording_id=task.recording_id,
                owner="me",
                changes=task.changes,
                manifest_url=storage.url_of(key),
                copies=(),
                now=datetime.now(UTC).timestamp(),
            )
        )


# list


@pytest.mark.usefixtures("filled")
async def test_the_list_has_every_file_with_its_state(cli: CommandLine) -> None:
    listed = await cli("archive", "list")

    assert listed.code == 0
    assert [(row["recording_id"], row["file_name"], row["state"]) for row in listed.lines] == [
        (FAILED, "lost.webm", "failed"),
        (ARCHIVED, EVIL, "archived"),
        (ARCHIVED, "a.webm", "archived"),
    ]
    assert listed.lines[0]["why"] == "url_expired: too late"
    assert {row["size_bytes"] for row in listed.lines[1:]} == {len(BODY)}
    assert "files.test" not in listed.out


@pytest.mark.usefixtures("filled")
async def test_the_table_shows_why_a_file_failed_and_no_control_characters(
    cli: CommandLine,
) -> None:
    listed = await cli("archive", "list", "--no-json", "--limit", "2")

    assert re.search(r"url_expired +too late", listed.out)
    assert "\x1b" not in listed.out
    assert "--limit is 2" in listed.err


# verify


@pytest.mark.usefixtures("filled")
async def test_files_and_manifests_that_are_as_they_were_archived_are_ok(
    cli: CommandLine,
) -> None:
    verified = await cli("archive", "verify")

    assert (verified.code, [line["result"] for line in verified.lines]) == (0, ["ok"] * 3)
    assert [line["file_name"] for line in verified.lines if line["file_name"] is None] == [None]
    assert "Verified 3 objects, 10,000 bytes: all as archived" in verified.err


@pytest.mark.usefixtures("filled")
async def test_a_changed_and_a_missing_file_are_faults(cli: CommandLine, folder: Path) -> None:
    first, second = sorted((folder / ARCHIVED).glob("*.webm"))
    first.write_bytes(BODY.replace(b"s", b"S"))
    second.unlink()

    verified = await cli("archive", "verify", ARCHIVED, "--no-json", "--concurrency", "1")

    assert verified.code == 1
    assert [line.split()[:2] for line in verified.out.splitlines()] == [
        ["differs", ARCHIVED],
        ["missing", ARCHIVED],
    ]
    assert "SHA-256" in verified.out
    assert "\x1b" not in verified.out
    assert "3 objects, 0 bytes: 2 not as archived" in verified.err


@pytest.mark.usefixtures("filled")
async def test_a_damaged_manifest_is_a_fault(cli: CommandLine, folder: Path) -> None:
    (folder / ARCHIVED / "manifest.json").write_text("{}")

    verified = await cli("archive", "verify", "--since", "1h")

    faults = [line for line in verified.lines if line["result"] != "ok"]
    assert (verified.code, [line["file_name"] for line in faults]) == (1, [None])


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("elsewhere", ["moved", "archive/other"])
async def test_after_the_archive_moved_the_old_place_is_named_and_can_be_verified(
    cli: CommandLine, folder: Path, elsewhere: str
) -> None:
    new_place = (folder.parent / elsewhere).as_uri()

    shown = await cli("archive", "verify", "--no-json", WORKER_ARCHIVE_URL=new_place)
    (command,) = [line for line in shown.err.splitlines() if "--archive-url" in line]
    old_place = command.split()[4]
    verified = await cli("archive", "verify", "--archive-url", old_place)
    here = await cli("archive", "verify", "--archive-url", new_place)

    assert (shown.code, shown.out) == (1, "")
    assert "3 objects lie elsewhere and were not read" in shown.err
    assert old_place.startswith(folder.as_uri())
    assert (verified.code, [line["result"] for line in verified.lines]) == (0, ["ok"] * 3)
    assert (here.code, here.lines) == (0, [])


@pytest.mark.usefixtures("filled")
async def test_a_place_that_is_no_storage_is_refused_by_its_flag(cli: CommandLine) -> None:
    for place in ("ftp://a/b", "bucket", "s3://key:secret@a", ""):
        refused = await cli("archive", "verify", "--archive-url", place)
        assert refused.code == 2, place
        assert "--archive-url" in refused.err


@pytest.mark.usefixtures("filled")
async def test_a_recording_without_an_archived_file_is_no_success(cli: CommandLine) -> None:
    verified = await cli("archive", "verify", FAILED)

    assert verified.code == 1
    assert "no file of these recordings is archived" in verified.err


@pytest.mark.usefixtures("filled")
async def test_without_the_url_of_the_archive_nothing_is_verified(
    sqlite_url: str, tmp_path: Path
) -> None:
    verified = await CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)("archive", "verify")

    assert verified.code == 2
    assert "WORKER_ARCHIVE_URL" in verified.err


@pytest.mark.parametrize(("files", "words"), [(1, "1 not as archived"), (9, "storage_unavailable")])
async def test_a_storage_that_is_unavailable_ends_the_command_with_a_clean_exit_code(
    store: Store, sqlite_url: str, tmp_path: Path, files: int, words: str
) -> None:
    # After one failure the command ends before obstore's thread has released the connection.
    await _archive_in_s3(store, files)
    settings = {"DATABASE_URL": sqlite_url, **_s3("http://127.0.0.1:9")}

    verified = await CommandLine(settings, tmp_path)("archive", "verify")

    assert verified.code == 1
    assert words in verified.err
    assert "sesame" not in verified.out + verified.err


@pytest.mark.usefixtures("filled")
async def test_a_verification_whose_reader_has_gone_ends_without_a_traceback(
    sqlite_url: str, folder: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        EXECUTABLE,
        "archive",
        "verify",
        env={"DATABASE_URL": sqlite_url, "WORKER_ARCHIVE_URL": folder.as_uri()},
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    _, stderr = await process.communicate()

    assert (process.returncode, stderr) == (1, b"")


async def test_a_verification_that_is_interrupted_says_how_much_it_has_read(
    store: Store, sqlite_url: str, tmp_path: Path
) -> None:
    await _archive_in_s3(store, 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        settings = {
            "DATABASE_URL": sqlite_url,
            **_s3(f"http://127.0.0.1:{silent.getsockname()[1]}"),
        }
        async with CommandLine(settings, tmp_path).running("archive", "verify") as running:
            connection, _ = await asyncio.get_running_loop().sock_accept(silent)
            running.signal(signal.SIGINT)
            verified = await running.end()
            connection.close()

    assert verified.code == INTERRUPTED
    assert "Interrupted after 0 objects" in verified.err


async def _archive_in_s3(store: Store, files: int) -> None:
    await _end(store, ARCHIVED, *(f"{number}.webm" for number in range(files)))
    elsewhere = CopiedFile(
        archive_url="s3://bucket/a.webm", size_bytes=1, sha256="0" * 64, content_type="audio/webm"
    )
    for task in await store.archive.take_files(_request()):
        await store.archive.copy_done(_result(task, elsewhere))


def _s3(endpoint: str) -> dict[str, str]:
    return {
        "WORKER_ARCHIVE_URL": "s3://bucket",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "sesame",
    }


# retry


@pytest.mark.usefixtures("filled")
async def test_a_retry_sends_a_command_for_each_recording_with_a_failed_file(
    cli: CommandLine, channel: AbstractChannel, names_prefix: str
) -> None:
    await cli("topology", "declare")

    retried = await cli("archive", "retry", "--failed")

    (line,) = retried.lines
    queue = await channel.get_queue(f"{names_prefix}.commands")
    message = await queue.get(timeout=10)
    await message.ack()
    command = decode_command(message.body)
    assert retried.code == 0
    assert (line["recording_id"], line["command_id"]) == (FAILED, command.id)
    assert command.command_type == message.routing_key == "archive_recording"
    assert command.app == "default"
    assert await queue.get(fail=False) is None


@pytest.mark.usefixtures("filled")
async def test_a_dry_run_shows_the_recordings_and_sends_nothing(cli: CommandLine) -> None:
    shown = await cli("archive", "retry", "--failed", "--dry-run")

    assert shown.code == 0  # there is no queue, so sending would fail
    assert [line["recording_id"] for line in shown.lines] == [FAILED]


async def test_wrong_flags_of_a_retry_are_refused(cli: CommandLine) -> None:
    for arguments, words in (
        ((), "--failed"),
        ((ARCHIVED, "--failed"), "--failed"),
        (("weekly",), "'weekly': field `recording_id`"),
        ((ARCHIVED, "--app", "x" * 200), "app"),
    ):
        refused = await cli("archive", "retry", *arguments)
        assert refused.code == 2, arguments
        assert words in refused.err, arguments


async def test_a_retry_without_a_queue_raises_an_error_with_advice(cli: CommandLine) -> None:
    retried = await cli("archive", "retry", ARCHIVED)

    assert retried.code == 1
    assert "topology declare" in retried.err
