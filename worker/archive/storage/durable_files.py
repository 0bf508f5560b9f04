"""Syncs a file of the archive's folder to the disk, so that a power failure does not lose it."""

import os
from pathlib import Path


def sync_to_disk(folder: Path, key: str) -> None:
    """Sync a file and the directories that contain it, up to the archive's folder."""
    path = folder / key
    _sync(path)
    for directory in path.parents:
        _sync(directory)
        if directory == folder:
            return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
