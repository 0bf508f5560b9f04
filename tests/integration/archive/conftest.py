"""The storages of the archive's tests. Each server starts once for a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.archive.object_stores import Azurite, MotoS3, RcloneS3, StoreServer
from worker.archive.storage import ArchiveStorage

SERVERS = {"rclone": RcloneS3, "moto": MotoS3, "azurite": Azurite}


@pytest.fixture(scope="module")
def store_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreServer | None]:
    """The server that the parameter names; None for a folder."""
    if request.param == "folder":
        yield None
        return
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def archive_url(
    store_server: StoreServer | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """The URL of an empty archive in that storage."""
    if store_server is None:
        (tmp_path / "archive").mkdir()
        return f"{tmp_path.as_uri()}/archive"
    for name, value in store_server.environ.items():
        monkeypatch.setenv(name, value)
    return f"{store_server.archive}/{tmp_path.name}"


@pytest.fixture
def storage(archive_url: str) -> ArchiveStorage:
    """The storage at that URL."""
    return ArchiveStorage.open(archive_url, request_timeout_seconds=10)
