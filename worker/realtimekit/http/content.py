"""Unpacks the bodies of responses in bounded memory."""

from collections.abc import AsyncIterator

import httpx


def unpacked_chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body in chunks, decompressed if necessary: most are too short to be compressed.

    Raises httpx's DecodingError if the body is not what its encoding says, or has an encoding that
    the worker does not ask for. Packed twice, a kilobyte can become a gigabyte.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        return response.aiter_bytes()
    if encoding != "identity":
        raise httpx.DecodingError("the response has a content encoding that was not requested")
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport's
    return aiter(response.stream)
