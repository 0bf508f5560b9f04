"""Copies one file: download, checksums, upload, comparison with the stored object."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from worker.archive.checksums import Checksums
from worker.archive.container import DurationReader
from worker.archive.content_type import content_type_of
from worker.archive.download import Block, Download, SourceFile
from worker.archive.errors import CopyDiffers, StorageRefused
from worker.archive.storage import ArchiveStorage
from worker.domain.archive import CopiedFile

Confirm = Callable[[], Awaitable[None]]
"""Raises FileLeaseLost if this replica may not write the object any more."""


async def always() -> None:
    """The `confirm` for callers whose object has no other writer."""


class Copier:
    """Copies files from the API's bucket to the user's storage in constant memory.

    A file of up to `part_bytes` is written in one request, a larger one in parts. All copies share
    one thread for CPU work: with more threads the event loop would wait for a processor.
    """

    def __init__(
        self, storage: ArchiveStorage, download: Download, *, part_bytes: int, max_file_bytes: int
    ) -> None:
        self._storage = storage
        self._download = download
        self._part_bytes = part_bytes
        self._max_file_bytes = max_file_bytes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive-checksums")

    async def copy(
        self, url: str, key: str, *, file_name: str, media_kind: str, confirm: Confirm = always
    ) -> CopiedFile:
        """Copy the file at a download URL. When this returns, the object is complete and compared.

        `confirm` is called when all bytes have arrived, right before the upload is completed.

        Raises every error of `worker.archive.errors`, and those of `confirm`. After an error the
        object is as before. If a storage allows no replacement of an object, the object may be that
        of a killed attempt.
        """
        async with self._download.open(url, max_bytes=self._max_file_bytes) as source:
            content_type = content_type_of(file_name, media_kind, source.content_type)
            passing = self._passing()
            try:
                etag = await self._write(key, source, passing, content_type, confirm)
            except StorageRefused as refusal:
                passing = await self._compare_kept(url, key, source.size, passing, refusal)
            else:
                await self._compare(key, passing.checksums, etag)
        return CopiedFile(
            archive_url=self._storage.url_of(key),
            size_bytes=passing.checksums.size,
            sha256=passing.checksums.sha256,
            content_type=content_type,
            duration_seconds=passing.duration.seconds,
        )

    def _passing(self) -> "_Passing":
        checksums = Checksums(self._part_bytes, part_hash=self._storage.part_hash)
        return _Passing(checksums, self._part_bytes, self._thread)

    async def _write(
        self,
        key: str,
        source: SourceFile,
        passing: "_Passing",
        content_type: str,
        confirm: Confirm,
    ) -> str | None:
        async with (
            aclosing(source.blocks()) as blocks,
            aclosing(passing.through(blocks)) as passed,
            aclosing(_confirmed(passed, confirm)) as chunks,
        ):
            if source.size is None or source.size > passing.part_bytes:
                return await self._storage.upload(
                    key, chunks, content_type, part_bytes=passing.part_bytes
                )
            body = b"".join([chunk async for chunk in chunks])
        return await self._storage.put(key, body, content_type)

    async def _compare_kept(
        self, url: str, key: str, size: int | None, passed: "_Passing", refusal: StorageRefused
    ) -> "_Passing":
        """The bytes of the source, if the object already has them. Otherwise raises the refusal."""
        try:
            kept = await self._storage.head(key)
            if size is not None and kept != size:
                raise refusal
            whole = passed if passed.is_whole else await self._read_again(url)
            await self._compare(key, whole.checksums, None)
        except (StorageRefused, CopyDiffers):
            raise refusal from None
        return whole

    async def _read_again(self, url: str) -> "_Passing":
        """The bytes of the source. The storage refused the upload before all of them had come."""
        passing = self._passing()
        async with (
            self._download.open(url, max_bytes=self._max_file_bytes) as source,
            aclosing(source.blocks()) as blocks,
            aclosing(passing.through(blocks)) as chunks,
        ):
            async for _ in chunks:
                pass
        return passing

    async def _compare(self, key: str, sent: Checksums, etag: str | None) -> None:
        """Raise CopyDiffers unless the storage has the sent bytes.

        A checksum of the storage proves it: an ETag that is the MD5 of the bytes, or the SHA-256
        that AWS keeps. Otherwise the bytes are read back.
        """
        size = await self._storage.head(key)
        if size != sent.size:
            raise CopyDiffers("size_differs", f"{key} has {size} bytes; {sent.size} were sent")
        reported = await self._storage.sha256_of(key) if sent.part_hash == "sha256" else etag
        if sent.prove(reported):
            return
        stored, count = hashlib.sha256(), 0
        async with aclosing(self._storage.read(key)) as blocks:
            async for block in blocks:
                count += len(block)
                if count > sent.size:
                    raise CopyDiffers("size_differs", f"{key} has more than {sent.size} bytes")
                await asyncio.get_running_loop().run_in_executor(self._thread, stored.update, block)
        if stored.hexdigest() != sent.sha256:
            raise CopyDiffers("checksum_differs", f"the bytes of {key} differ from those sent")


async def _confirmed(chunks: AsyncIterator[Block], confirm: Confirm) -> AsyncGenerator[Block, None]:
    """The same chunks. They end only after `confirm`: an upload is completed when they have
    ended, and aborted if they raise an error."""
    async for chunk in chunks:
        yield chunk
    await confirm()


class _Passing:
    """The stream of a file's bytes, with their checksums and the duration that they state.

    `is_whole`: all bytes have passed.
    """

    def __init__(self, checksums: Checksums, part_bytes: int, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self.is_whole = False
        self.part_bytes = part_bytes
        self.checksums = checksums
        self.duration = DurationReader()

    async def through(self, blocks: AsyncIterator[Block]) -> AsyncGenerator[Block, None]:
        """The same blocks. A thread examines them, so that commands do not wait."""
        loop = asyncio.get_running_loop()
        async for block in blocks:
            await loop.run_in_executor(self._thread, self._look_at, block)
            yield block
        self.is_whole = True

    def _look_at(self, block: Block) -> None:
        self.checksums.update(block)
        self.duration.feed(block)
