"""The error of an upload when its chunks and the storage fail together."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from obstore.exceptions import NotFoundError

from worker.archive.errors import SourceDenied, SourceDoubtful, SourceUnavailable
from worker.archive.storage.chunk_pipe import ChunkPipe
from worker.archive.storage.storage import upload_result


async def broken_source(error: Exception) -> AsyncIterator[bytes]:
    yield b"the first chunk"
    raise error


def failed_upload() -> "asyncio.Future[object]":
    """The error of obstore if a part is in flight while it aborts the upload."""
    put = asyncio.get_running_loop().create_future()
    put.set_exception(NotFoundError("NoSuchUpload"))
    return put


@pytest.mark.parametrize("kind", [SourceDenied, SourceDoubtful, SourceUnavailable])
async def test_an_upload_whose_source_failed_ends_with_the_error_of_the_source(
    kind: type[SourceDenied | SourceDoubtful | SourceUnavailable],
) -> None:
    pipe = ChunkPipe()
    await pipe.fill(broken_source(kind("code", "why")))
    with pytest.raises(kind):
        await upload_result(failed_upload(), pipe)  # type: ignore[arg-type]  # it has no result


async def test_an_upload_that_the_storage_ended_has_the_error_of_the_storage() -> None:
    with pytest.raises(NotFoundError):
        await upload_result(failed_upload(), ChunkPipe())  # type: ignore[arg-type]  # no result
