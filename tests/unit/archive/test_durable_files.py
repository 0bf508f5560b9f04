"""Files of the archive's folder that must survive a power failure."""

from pathlib import Path

import pytest

from worker.archive.storage.durable_files import sync_to_disk


def test_a_file_system_that_cannot_sync_directories_keeps_no_file_from_the_archive(
    tmp_path: Path,
) -> None:
    with (tmp_path / "a.webm").open("wb") as file:  # Linux cannot sync a directory of /proc
        sync_to_disk(Path("/proc/self/fd"), str(file.fileno()))


def test_a_file_that_cannot_be_synced_is_an_error() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        sync_to_disk(Path("/proc/self"), "status")
