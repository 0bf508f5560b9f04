"""A manifest that the storage refuses is reported, also after other failures."""

import pytest

from recording_schemas import Status
from tests.contract.store.test_archive import events
from tests.contract.store.test_pruning import NOW, observation
from tests.integration.archive.object_stores import s3_environ
from tests.integration.archive.test_failing_storage import FailingStore
from tests.integration.archive.wired_archiver import no_participants
from worker.archive.errors import StorageUnavailable
from worker.archive.folder_mark import FolderMark
from worker.archive.manifest_writer import ManifestWriter
from worker.archive.storage import ArchiveStorage
from worker.domain.archive_keys import KeyTemplate
from worker.store.archive_queue import TakeRequest
from worker.store.store import Store


async def attempt(store: Store, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Try to write the manifest in a storage that answers with this status."""
    async with FailingStore(status) as server:
        for name, value in s3_environ(server.url).items():
            monkeypatch.setenv(name, value)
        storage = ArchiveStorage.open("s3://bucket", max_retries=0)
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
        now = NOW.timestamp()
        request = TakeRequest(owner="me", now=now, until=now + 60, limit=1)
        (task,) = await store.archive.take_manifests(request)
        await writer.attempt(task)


@pytest.mark.parametrize("unavailable", [0, 5])
async def test_a_refusal_is_reported_once_even_if_the_fifth_attempt_was_no_refusal(
    unavailable: int, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(sqlite_url, source="test", archives=True)
    await store.apply([observation("r1", Status.ERRORED, files=())])
    for _ in range(unavailable):
        with pytest.raises(StorageUnavailable):
            await attempt(store, 503, monkeypatch)
    for _ in range(7):
        await attempt(store, 403, monkeypatch)
    published = await events(store)
    await store.close()
    assert [event["type"] for event in published] == ["recording.archive_failed.v1"]
    assert (published[0]["data"]["file_name"], published[0]["data"]["final"]) == (None, False)
