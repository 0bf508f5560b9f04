"""Objects in the user's storage: put, upload in parts, size, read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import obstore

from worker.aio import cancel_all
from worker.archive.checksums import PartHash
from worker.archive.errors import ObjectMissing, StorageRefused
from worker.archive.storage.abandoned_parts import remove_abandoned
from worker.archive.storage.chunk_pipe import ChunkPipe, UploadStopped
from worker.archive.storage.durable_files import sync_to_disk
from worker.archive.storage.interpreter_exit import settle_at_exit
from worker.archive.storage.open_stores import OpenStores
from worker.archive.storage.storage_errors import translated_errors
from worker.archive.storage.stored_checksums import StoredChecksums
from worker.archive.storage.stores import has_sha256_of_parts
from worker.archive.threads import in_thread
from worker.domain.storage_url import StorageUrl, parse_storage_url

if TYPE_CHECKING:
    from obstore import Attributes, PutResult

PARTS_IN_FLIGHT: Final = 2
READ_BYTES: Final = 1024 * 1024
ABORT_TIMEOUT_SECONDS: Final = 5.0
"""How long a cancelled upload may take to remove its parts."""


class ArchiveStorage:
    """The objects below the prefix of the archive's URL.

    Every method raises StorageRefused or StorageUnavailable.
    """

    def __init__(self, url: StorageUrl, stores: OpenStores) -> None:
        self._url = url
        self._stores = stores
        self._checksums = StoredChecksums(url)

    @classmethod
    def open(
        cls, url: str, *, request_timeout_seconds: float = 300.0, max_retries: int = 3
    ) -> Self:
        """The storage at a URL. Nothing is sent yet.

        The time-out limits one request with its body: a slow uplink needs minutes for a part. While
        an object is read, it limits the time without a byte. If the storage was unavailable, a
        request is sent again, `max_retries` times.

        Raises: ValueError: the URL or the variables of the provider are wrong.
        """
        parsed = parse_storage_url(url)
        settle_at_exit()
        timeout = timedelta(seconds=request_timeout_seconds)
        return cls(parsed, OpenStores(parsed, max_retries, timeout))

    @property
    def folder(self) -> Path | None:
        """The folder that the URL names; None for other storages."""
        return Path(self._url.prefix) if self._url.scheme == "file" else None

    @property
    def part_hash(self) -> PartHash | None:
        """The hash of each part in this storage's checksum of an object.

        MD5 is in the ETag, unless KMS encrypts. `sha256_of` returns SHA-256.
        """
        if self._url.scheme != "s3":
            return None
        return "sha256" if has_sha256_of_parts(self._url) else "md5"

    def url_of(self, key: str) -> str:
        """The URL of an object, as events and the manifest name it."""
        return self._url.of(key)

    def key_of(self, url: str) -> str | None:
        """The key of an object by its URL. None if the object is in another storage."""
        return self._url.key_of(url)

    async def put(self, key: str, body: bytes, content_type: str) -> str | None:
        """Write a small object in one request. Returns its ETag if the storage has one."""
        with self._errors(f"write {key}"):
            put = await obstore.put_async(
                self._stores.writer,
                key,
                body,
                attributes=self._attributes(content_type),
                use_multipart=False,
            )
            await self._make_durable(key)
        return put["e_tag"]

    async def upload(
        self,
        key: str,
        chunks: AsyncIterator[bytes | memoryview],
        content_type: str,
        *,
        part_bytes: int,
    ) -> str | None:
        """Write an object in parts of `part_bytes`. It appears when it is complete.

        Returns its ETag if the storage has one. Also raises the errors of the iterator. After an
        error or a cancellation the parts are removed, if the storage answers within
        `ABORT_TIMEOUT_SECONDS`.
        """
        pipe = ChunkPipe()
        with self._errors(f"write {key}"):
            put = asyncio.ensure_future(
                obstore.put_async(
                    self._stores.writer,
                    key,
                    pipe,
                    attributes=self._attributes(content_type),
                    use_multipart=True,
                    chunk_size=part_bytes,
                    max_concurrency=PARTS_IN_FLIGHT,
                )
            )
            filling = asyncio.create_task(pipe.fill(chunks), name=f"archive chunks of {key}")
            try:
                result = await upload_result(put, pipe)
            finally:
                await cancel_all([filling])
            await self._make_durable(key)
        return result["e_tag"]

    async def head(self, key: str) -> int:
        """The size of an object in bytes."""
        with self._errors(f"read the size of {key}"):
            meta = await obstore.head_async(self._stores.writer, key)
        return meta["size"]

    async def sha256_of(self, key: str) -> str | None:
        """The SHA-256 that S3 keeps of an object, for `Checksums.prove`. None if unknown."""
        return await self._checksums.sha256_of(key)

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """The bytes of an object in blocks."""
        with self._errors(f"read {key}"):
            stored = await obstore.get_async(self._stores.reader, key)
            async for block in stored.stream(min_chunk_size=READ_BYTES):
                yield block

    async def abort_abandoned(self, *, started_before: datetime, key: str | None = None) -> int:
        """Remove the parts of uploads that no process will finish. Returns the number of uploads.

        With `key` only uploads of this object, else of every object below the prefix. The caller
        knows that no living replica began an upload of it before `started_before`. Google Cloud
        Storage and Azure remove such parts themselves: see docs/how-to/keep-the-files.md.
        """
        with self._errors(f"remove abandoned uploads of {key or 'the archive'}"):
            return await remove_abandoned(self._url, key, started_before)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Raise our errors instead of obstore's. After a refusal the credentials are read again."""
        try:
            with translated_errors(doing):
                yield
        except ObjectMissing:
            raise
        except StorageRefused:
            self._stores.renew()
            raise

    async def _make_durable(self, key: str) -> None:
        if self._url.scheme == "file":
            await in_thread(sync_to_disk, Path(self._url.prefix), key)

    def _attributes(self, content_type: str) -> "Attributes | None":
        """A folder keeps no attributes of files."""
        return None if self._url.scheme == "file" else {"Content-Type": content_type}


async def upload_result(put: "asyncio.Future[PutResult]", pipe: ChunkPipe) -> "PutResult":
    """The result of an upload, or the error of its chunks, or else that of the storage.

    If this is cancelled, obstore removes the parts first.
    """
    try:
        return await asyncio.shield(put)
    except asyncio.CancelledError:
        pipe.fail(UploadStopped())
        ended, _ = await asyncio.wait({put}, timeout=ABORT_TIMEOUT_SECONDS)
        for future in ended:
            future.exception()  # it is known, and asyncio would log it
        raise
    except Exception:
        # When the chunks fail, obstore aborts the upload. A part in flight then gets 404, and this
        # error may arrive first.
        if pipe.error is not None:
            raise pipe.error from None
        raise
    finally:
        put.cancel()
