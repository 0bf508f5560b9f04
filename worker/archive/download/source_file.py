"""The body of a file during its download: time-outs, limits, resumption."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import httpx

from worker.archive.bandwidth import Bandwidth
from worker.archive.download.responses import (
    check_continues,
    media_type,
    status_error,
    whole_version,
)
from worker.archive.download.source_rate import SourceRate
from worker.archive.errors import SourceDoubtful, SourceUnavailable

BLOCK_BYTES: Final = 1024 * 1024
GATHERED_BYTES: Final = 256 * 1024
"""A source that sends less than this within the time-out counts as silent."""
RESUME_DELAYS_SECONDS: Final = (0.1, 0.5, 2.0)
"""The waits after successive breaks without `BLOCK_BYTES` of progress."""

Block = bytes | memoryview
Get = Callable[[dict[str, str]], Awaitable[httpx.Response]]


class _Broken(Exception):
    """The transfer ended before the end of the file. `code` and text as in SourceUnavailable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SourceFile:
    """A file during its download. `get` requests it again, with headers for a part of it.

    `content_type` is the source's, None if it is no media type.
    """

    def __init__(
        self,
        response: httpx.Response,
        get: Get,
        *,
        timeout: float,
        max_bytes: int,
        rate: SourceRate,
        bandwidth: Bandwidth | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._response = response
        self._get = get
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._rate = rate
        self._bandwidth = bandwidth
        self._sleep = sleep
        self._version = whole_version(response)
        self._offset = 0
        self.content_type = media_type(response)
        self._check_announced()

    @property
    def size(self) -> int | None:
        """The size in bytes, None if the source does not state it at the beginning."""
        return self._version.size

    async def blocks(self) -> AsyncGenerator[Block, None]:
        """The body in blocks of at least `BLOCK_BYTES`, the last one shorter.

        Raises: SourceUnavailable, SourceDenied, SourceDoubtful: then discard the blocks so far.
        """
        pieces: list[Block] = []
        count = 0
        async with aclosing(self._pieces()) as received:
            async for piece in received:
                pieces.append(piece)
                count += len(piece)
                if count >= BLOCK_BYTES:
                    yield _joined(pieces)
                    pieces, count = [], 0
        if pieces:
            yield _joined(pieces)

    async def _pieces(self) -> AsyncGenerator[Block, None]:
        """The pieces of the body, over as many connections as necessary."""
        breaks = 0
        while True:
            begun_at = self._offset
            try:
                async with aclosing(self._received()) as received:
                    async for piece in received:
                        yield piece
            except _Broken as broken:
                breaks = 1 if self._offset - begun_at >= BLOCK_BYTES else breaks + 1
                breaks = await self._resume(broken, breaks)
            else:
                return

    async def _received(self) -> AsyncGenerator[Block, None]:
        """The pieces of one connection. Raises _Broken."""
        stream = aiter(self._response.stream)  # type: ignore[arg-type]  # an async transport's
        ended: bool | _Broken = False
        while not ended:
            pieces: list[Block] = []
            self._rate.begin()
            ended = await self._gather(stream, pieces)
            count = sum(map(len, pieces))
            self._rate.brought(count)
            self._offset += count
            if self._offset > self._max_bytes:
                raise self._too_large(f"more than {self._max_bytes}")
            for piece in pieces:
                yield piece
            if self._bandwidth is not None:
                await self._bandwidth.spend(count)
        if isinstance(ended, _Broken):
            raise ended
        if self._version.size is not None and self._offset != self._version.size:
            raise _Broken("source_truncated", "the file ended early")
        if not self._offset:
            raise _empty()

    async def _gather(self, stream: AsyncIterator[Block], pieces: list[Block]) -> bool | _Broken:
        """Add the next pieces. Returns whether they are the last ones, or why no more follow."""
        count = 0
        try:
            async with asyncio.timeout(self._timeout):
                while count < GATHERED_BYTES:
                    piece = await anext(stream, None)
                    if piece is None:
                        return True
                    pieces.append(piece)
                    count += len(piece)
        except TimeoutError:
            return _Broken("source_silent", f"no bytes for {self._timeout:g} s")
        except httpx.TransportError as error:
            return _Broken("source_broken", f"the transfer broke off: {error}")
        return False

    async def _resume(self, broken: _Broken, breaks: int) -> int:
        """Request the rest of the file. Returns the number of breaks without progress."""
        validator = self._version.validator
        if self._version.size is None or validator is None or breaks > len(RESUME_DELAYS_SECONDS):
            message = f"{broken}, after {self._offset} bytes"
            raise SourceUnavailable(broken.code, message) from broken
        await self._sleep(RESUME_DELAYS_SECONDS[breaks - 1])
        headers = {"Range": f"bytes={self._offset}-", "If-Range": validator}
        try:
            response = await self._get(headers)
        except SourceUnavailable as error:
            return await self._resume(_Broken(error.code, error.message), breaks + 1)
        if response.status_code not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            raise status_error(response)
        check_continues(response, self._version, self._offset)
        self._response = response
        return breaks

    def _check_announced(self) -> None:
        size = self._version.size
        if size == 0:
            raise _empty()
        if size is not None and size > self._max_bytes:
            raise self._too_large(str(size))

    def _too_large(self, size: str) -> SourceDoubtful:
        message = (
            f"the file has {size} bytes; at most {self._max_bytes} are allowed "
            "(WORKER_ARCHIVE_MAX_FILE_BYTES)"
        )
        return SourceDoubtful("file_too_large", message)


def _empty() -> SourceDoubtful:
    return SourceDoubtful("source_empty", "the source sends a file without bytes")


def _joined(pieces: list[Block]) -> Block:
    """One block of pieces. It is not copied if the pieces are all of one buffer."""
    first = pieces[0]
    if isinstance(first, memoryview) and all(
        isinstance(piece, memoryview) and piece.obj is first.obj for piece in pieces
    ):
        whole = memoryview(first.obj)
        if len(whole) == sum(map(len, pieces)):
            return whole
    return b"".join(pieces)
