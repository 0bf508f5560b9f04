"""Manifests in a bucket where no object may be replaced: object lock without versions."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from recording_schemas import Manifest, Status
from tests.contract.store.test_archive import done, end, events, take, take_manifests
from tests.contract.store.test_pruning import NOW, observation
from tests.integration.archive.local_server import LocalServer
from tests.integration.archive.object_stores import s3_environ
from tests.integration.archive.wired_archiver import no_participants
from worker.archive.folder_mark import FolderMark
from worker.archive.manifest import compose_manifest
from worker.archive.manifest_writer import ManifestWriter
from worker.archive.storage import ArchiveStorage
from worker.domain.archive_keys import KeyTemplate
from worker.store.archive_manifests import ManifestTask
from worker.store.store import Store


class WriteOnceS3(LocalServer):
    """Keeps objects. A request that would replace one gets this status."""

    def __init__(self, refusal: str) -> None:
        self.objects: dict[str, bytes] = {}
        self._refusal = refusal

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        method, path, _ = first.split()
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        status, body = "200 OK", b""
        if method == "PUT":
            sent = await reader.readexactly(int(headers["content-length"]))
            if path in self.objects:
                status = self._refusal
            self.objects.setdefault(path, sent)
        elif path in self.objects:
            body = self.objects[path]
        else:
            status = "404 Not Found"
        answer = (
            f"HTTP/1.1 {status}",
            'ETag: "opaque"',
            f"Content-Length: {len(body)}",
            "Last-Modified: Sun, 29 Nov 2026 11:00:00 GMT",
            "Connection: close",
        )
        writer.write("\r\n".join((*answer, "", "")).encode())
        writer.write(body if method == "GET" else b"")
        await writer.drain()
        writer.close()


@pytest.fixture(params=["403 Forbidden", "409 Conflict", "412 Precondition Failed"])
async def bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[WriteOnceS3]:
    async with WriteOnceS3(request.param) as server:
        for name, value in s3_environ(server.url).items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(sqlite_url, source="test", archives=True)
    yield opened
    await opened.close()


@pytest.fixture
def storage(bucket: WriteOnceS3) -> ArchiveStorage:
    return ArchiveStorage.open("s3://bucket", max_retries=0)


async def write(store: Store, storage: ArchiveStorage, task: ManifestTask) -> None:
    writer = ManifestWriter(
        store.archive,
        storage,
        KeyTemplate.parse_manifest("{recording_id}.json"),
        FolderMark(storage, store.archive, now=NOW.timestamp),
        owner="me",
        read_participants=no_participants,
        longest_pause=0.0,
        now=NOW.timestamp,
    )
    await writer.attempt(task)


async def die_after_writing(store: Store, storage: ArchiveStorage, task: ManifestTask) -> None:
    """Write the manifest, but commit nothing."""
    archive = await store.archive.read(task.recording_id)
    assert archive is not None
    body = msgspec.json.format(msgspec.json.encode(compose_manifest(archive)), indent=2)
    await storage.put(f"{task.recording_id}.json", body, "application/json")


async def published_types(store: Store) -> list[str]:
    return [event["type"].removeprefix("recording.") for event in await events(store)]


async def test_a_manifest_that_a_killed_worker_wrote_is_announced(
    store: Store, bucket: WriteOnceS3, storage: ArchiveStorage
) -> None:
    await store.apply([observation("r1", Status.ERRORED, files=())])
    (task,) = await take_manifests(store)
    await die_after_writing(store, storage, task)
    assert (await published_types(store), len(bucket.objects)) == ([], 1)
    await write(store, storage, task)
    assert await published_types(store) == ["archived.v1"]


@pytest.mark.parametrize("other", [b"", b"x", b"x" * 100_000])
async def test_another_object_in_the_place_of_a_manifest_is_a_refusal(
    other: bytes, store: Store, bucket: WriteOnceS3, storage: ArchiveStorage
) -> None:
    bucket.objects["/bucket/r1.json"] = other
    await store.apply([observation("r1", Status.ERRORED, files=())])
    for _ in range(7):
        (task,) = await take_manifests(store)
        await write(store, storage, task)
    assert await published_types(store) == ["archive_failed.v1"]
    assert bucket.objects == {"/bucket/r1.json": other}
    assert (await store.archive.depth()).refused == 1


async def test_other_bytes_of_the_same_length_are_no_manifest_of_an_earlier_attempt(
    store: Store, bucket: WriteOnceS3, storage: ArchiveStorage
) -> None:
    await store.apply([observation("r1", Status.ERRORED, files=())])
    (task,) = await take_manifests(store)
    await die_after_writing(store, storage, task)
    ((path, body),) = bucket.objects.items()
    bucket.objects[path] = body.swapcase()
    await write(store, storage, task)
    assert await published_types(store) == []


async def test_a_manifest_that_has_grown_is_refused_and_reported_and_the_first_one_stays(
    store: Store, bucket: WriteOnceS3, storage: ArchiveStorage
) -> None:
    await end(store, "r1", "a")
    for files in (("a",), ("a", "late")):
        await end(store, "r1", *files)
        for file in await take(store):
            await done(store, file)
        for _ in range(6):
            for task in await take_manifests(store):
                await write(store, storage, task)
    assert await published_types(store) == [
        "file_archived.v1",
        "archived.v1",
        "file_archived.v1",
        "archive_failed.v1",
    ]
    (body,) = bucket.objects.values()
    manifest = msgspec.json.decode(body, type=Manifest)
    assert [file.file_name for file in manifest.files] == ["a.webm"]
