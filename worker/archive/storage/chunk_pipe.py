"""Passes the chunks of an upload to obstore, and ends an upload so that its parts are removed.

If the future of an upload is cancelled, obstore drops the upload, and its parts stay in the
storage. If the source of its chunks raises an error, obstore aborts the upload.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

MAX_WAITING_CHUNKS: Final = 2


class UploadStopped(Exception):
    """The worker gave the upload up."""


class ChunkPipe:
    """A short queue of chunks. One task fills it, obstore iterates over it.

    `error` is the first error that the chunks ended with, None if there was none.
    """

    def __init__(self) -> None:
        self._chunks: deque[bytes | memoryview] = deque()
        self._ended = False
        self.error: BaseException | None = None
        self._changed = asyncio.Event()

    async def fill(self, chunks: AsyncIterator[bytes | memoryview]) -> None:
        """Pass all chunks on, or the error that the iterator raises. Raises nothing."""
        try:
            async for chunk in chunks:
                self._chunks.append(chunk)
                self._changed.set()
                while len(self._chunks) >= MAX_WAITING_CHUNKS:
                    await self._change()
        except Exception as error:  # noqa: BLE001 - the iterating side raises it
            self.fail(error)
        self._ended = True
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """Let the present and every later request for a chunk raise this error."""
        self.error = self.error or error
        self._changed.set()

    def __aiter__(self) -> "ChunkPipe":
        return self

    async def __anext__(self) -> bytes | memoryview:
        """The next chunk."""
        while not (self._chunks or self._ended or self.error):
            await self._change()
        if self.error is not None:
            raise self.error
        if not self._chunks:
            raise StopAsyncIteration
        chunk = self._chunks.popleft()
        self._changed.set()
        return chunk

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
