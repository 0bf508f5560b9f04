"""obstore's stores of one archive, opened anew when the storage has refused something.

A file of credentials may have changed. obstore reads that of Google only when a store is opened,
and keeps credentials of S3 for some minutes.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from worker.archive.storage.storage_errors import opening_errors
from worker.archive.storage.stores import Store, open_store
from worker.domain.storage_url import StorageUrl

MAX_READ_TIME: Final = timedelta(days=1)
RENEWAL_INTERVAL_SECONDS: Final = 10.0
"""The stores are opened anew at most this often."""


class OpenStores:
    """`writer` for everything but reading. `reader` bounds only the time without a byte."""

    def __init__(
        self,
        url: StorageUrl,
        max_retries: int,
        timeout: timedelta,
        *,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._max_retries = max_retries
        self._timeout = timeout
        self._ticks = ticks
        self._renewed_at = float("-inf")
        self.writer, self.reader = self._open()

    def renew(self) -> None:
        """Read the credentials again. If they are wrong now, the stores stay as they are."""
        if self._ticks() < self._renewed_at + RENEWAL_INTERVAL_SECONDS:
            return
        self._renewed_at = self._ticks()
        with suppress(ValueError):
            self.writer, self.reader = self._open()

    def _open(self) -> tuple[Store, Store]:
        """The stores. Raises ValueError for what the variables of a provider get wrong."""
        with opening_errors():
            return (
                open_store(self._url, self._max_retries, timeout=self._timeout),
                open_store(
                    self._url,
                    self._max_retries,
                    timeout=MAX_READ_TIME,
                    read_timeout=self._timeout,
                ),
            )
