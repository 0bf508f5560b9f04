"""The SHA-256 that S3 keeps of an object, by HeadObject. obstore does not ask for it."""

import threading
import time
from typing import Final

import botocore.client
import botocore.exceptions
import botocore.parsers

from worker.archive.storage.abandoned_parts import open_client
from worker.archive.storage.s3_credentials import LOOKED_UP_EVERY
from worker.archive.threads import in_thread
from worker.domain.storage_url import StorageUrl

_NO_ANSWER: Final = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    botocore.parsers.ResponseParserError,
    ValueError,
    RecursionError,  # of redirects
)


class StoredChecksums:
    """Asks for checksums with one client, which is renewed as often as credentials are read."""

    def __init__(self, url: StorageUrl) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._client: botocore.client.BaseClient = None
        self._opened_at = 0.0

    async def sha256_of(self, key: str) -> str | None:
        """The SHA-256 in base64, or that of the parts' SHA-256s with their number.

        None if S3 does not say it. The caller then reads the object.
        """
        return await in_thread(self._ask, key)

    def _ask(self, key: str) -> str | None:
        path = f"{self._url.prefix}/{key}" if self._url.prefix else key
        try:
            answer = self._opened().head_object(
                Bucket=self._url.bucket, Key=path, ChecksumMode="ENABLED"
            )
        except _NO_ANSWER:
            return None
        reported = answer.get("ChecksumSHA256")
        return reported if isinstance(reported, str) else None

    def _opened(self) -> botocore.client.BaseClient:
        with self._lock:
            now = time.monotonic()
            if self._client is None or now - self._opened_at > LOOKED_UP_EVERY.total_seconds():
                self._client, self._opened_at = open_client(self._url), now
            return self._client
