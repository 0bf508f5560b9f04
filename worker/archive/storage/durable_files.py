"""Puts a file of the archive's folder on the disk: the loss of power must not lose it."""

import os
from pathlib import Path


def sync_to_disk(folder: Path, key: str) -> None:
    """Write out a file and the directories that name it, up to the archive's folder."""
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
