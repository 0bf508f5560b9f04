"""obstore's stores of one archive, opened again after the storage has refused a request.

A file of credentials may have changed. obstore reads that of Google only when a store is opened,
and keeps credentials of S3 for some minutes. A folder is opened when it is used and exists.
"""

import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from worker.archive.errors import StorageUnavailable
from worker.archive.storage.storage_errors import opening_errors
from worker.archive.storage.stores import ObjectStore, open_store
from worker.domain.storage_url import StorageUrl

MAX_READ_TIME: Final = timedelta(days=1)
RENEWAL_INTERVAL_SECONDS: Final = 10.0
"""The stores are opened again at most this often."""


class OpenStores:
    """`writer` for everything but reading. `reader` limits only the time without a byte.

    Both raise StorageUnavailable if the archive is a folder that does not exist.
    """

    def __init__(self, url: StorageUrl, max_retries: int, timeout: timedelta) -> None:
        self._url = url
        self._max_retries = max_retries
        self._timeout = timeout
        self._renewed_at = float("-inf")
        # A mount that hangs must not block the worker's start: see `FolderMark.check`.
        self._stores = None if url.scheme == "file" else self._open()

    @property
    def writer(self) -> ObjectStore:
        """The store for everything but reading."""
        return self._opened()[0]

    @property
    def reader(self) -> ObjectStore:
        """The store that objects are read from."""
        return self._opened()[1]

    def renew(self) -> None:
        """Read the credentials again. If they are wrong now, the stores stay as they are."""
        if time.monotonic() < self._renewed_at + RENEWAL_INTERVAL_SECONDS:
            return
        self._renewed_at = time.monotonic()
        with suppress(ValueError):
            self._stores = self._open()

    def _opened(self) -> tuple[ObjectStore, ObjectStore]:
        stores = self._stores or self._open()
        if stores is None:
            raise folder_missing(Path(self._url.prefix))
        self._stores = stores
        return stores

    def _open(self) -> tuple[ObjectStore, ObjectStore] | None:
        """The stores; None if they are a folder that does not exist.

        Raises ValueError for wrong variables of a provider.
        """
        with opening_errors():
            if self._url.scheme == "file" and not _is_folder(Path(self._url.prefix)):
                return None
            return (
                open_store(self._url, self._max_retries, timeout=self._timeout),
                open_store(
                    self._url,
                    self._max_retries,
                    timeout=MAX_READ_TIME,
                    read_timeout=self._timeout,
                ),
            )


def _is_folder(path: Path) -> bool:
    """Whether the folder exists. Raises OSError if it is something else, or cannot be examined."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is not a folder")
    return path.is_dir()


def folder_missing(folder: Path) -> StorageUnavailable:
    """The error of an archive whose folder does not exist."""
    message = f"the folder {folder} does not exist. Mount its volume, or create it"
    return StorageUnavailable("folder_missing", message)
