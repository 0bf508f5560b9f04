"""Syncs a file of the archive's folder to the disk, so that a power failure does not lose it."""

import errno
import os
from pathlib import Path
from typing import Final

_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
"""The answers of file systems that cannot sync a directory, such as some network volumes."""


def sync_to_disk(folder: Path, key: str) -> None:
    """Sync a file and the directories that contain it, up to the archive's folder.

    A file system that cannot sync directories keeps their entries in a way of its own.
    """
    path = folder / key
    _sync(path)
    for directory in path.parents:
        _sync_directory(directory)
        if directory == folder:
            return


def _sync_directory(path: Path) -> None:
    try:
        _sync(path)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
