"""A manifest waits for the participants of its session, but not indefinitely."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from recording_schemas import Manifest, Status
from tests.contract.store.test_archive import events
from tests.contract.store.test_pruning import NOW, observation
from worker.archive.folder_mark import FolderMark
from worker.archive.manifest_writer import (
    MAX_REFUSED_ATTEMPTS,
    MAX_UNREAD_ATTEMPTS,
    ManifestWriter,
)
from worker.archive.storage import ArchiveStorage
from worker.domain.archive_keys import KeyTemplate
from worker.domain.errors import ApiError, NotFound, Unavailable
from worker.domain.snapshot import Participant
from worker.store.archive_queue import TakeRequest
from worker.store.store import Store

AWAY = Unavailable("server_error", "HTTP 503")
GONE = NotFound("not_found", "HTTP 404")


class FailingSession:
    """An API whose first `failures` reads of the participants fail."""

    def __init__(self, failures: int, error: ApiError) -> None:
        self.failures = failures
        self._error = error

    async def read(self, app: str, session_id: str) -> tuple[Participant, ...]:
        del app, session_id
        self.failures -= 1
        if self.failures >= 0:
            raise self._error
        return (Participant(peer_id="p", user_id="u"),)


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    """An ended recording whose participants have not been read."""
    opened = await Store.open(sqlite_url, source="test", archives=True)
    ended = observation("r1", Status.ERRORED, files=())
    snapshot = msgspec.structs.replace(ended.snapshot, session_id="s")
    await opened.apply([msgspec.structs.replace(ended, snapshot=snapshot)])
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("error", "failures", "attempts"),
    [
        (AWAY, 0, 1),
        (AWAY, 3, 4),
        (AWAY, 10**6, MAX_UNREAD_ATTEMPTS),
        (GONE, MAX_REFUSED_ATTEMPTS - 1, MAX_REFUSED_ATTEMPTS),
        (GONE, 10**6, MAX_REFUSED_ATTEMPTS),
    ],
)
async def test_a_manifest_is_written_without_people_whom_the_api_does_not_show_for_long(
    error: ApiError, failures: int, attempts: int, store: Store, tmp_path: Path
) -> None:
    now = NOW.timestamp()
    storage = ArchiveStorage.open(tmp_path.as_uri())
    writer = ManifestWriter(
        store.archive,
        storage,
        KeyTemplate.parse_manifest("{recording_id}.json"),
        FolderMark(storage, store.archive, now=lambda: now),
        owner="me",
        read_participants=FailingSession(failures, error).read,
        longest_pause=0.0,
        now=lambda: now,
    )
    count = 0
    request = TakeRequest(owner="me", now=now, until=now + 60, limit=1)
    while tasks := await store.archive.take_manifests(request):
        await writer.attempt(tasks[0])
        count += 1
    written = msgspec.json.decode((tmp_path / "r1.json").read_bytes(), type=Manifest)
    assert count == attempts
    assert (written.participants is None) == (failures >= attempts)
    assert len(await events(store, "archived")) == 1
