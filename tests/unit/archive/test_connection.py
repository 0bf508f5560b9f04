"""The body of a response, in the order of the event loop's calls."""

import asyncio

import pytest

from worker.archive.download.connection import MIN_PIECE_BYTES, StreamConnection

HEAD = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n"
BODY = bytes(range(256)) * (MIN_PIECE_BYTES // 256) + b"the end"
LENGTH = HEAD % b"Content-Length: %d" % len(BODY)


class Transport(asyncio.Transport):
    """Sends nothing."""

    def write(self, data: object) -> None:
        """Discard the request."""

    def abort(self) -> None:
        """Nothing is open."""

    def is_closing(self) -> bool:
        """Nothing is open."""
        return True


async def opened(first: bytes) -> StreamConnection:
    connection = StreamConnection()
    connection.connection_made(Transport())
    receive(connection, first)
    assert (await connection.request(b"")).status == 200
    return connection


@pytest.mark.parametrize("extra", [b"", b"more than the length says"])
async def test_the_end_of_a_body_may_arrive_while_a_piece_is_in_use(extra: bytes) -> None:
    connection = await opened(LENGTH + BODY[:100])
    receive(connection, BODY[100:MIN_PIECE_BYTES])
    body = aiter(connection.body())
    pieces = [await anext(body)]
    receive(connection, BODY[MIN_PIECE_BYTES:] + extra)
    connection.connection_lost(None)
    pieces += [piece async for piece in body]
    assert b"".join(pieces) == BODY


async def test_bytes_before_a_break_are_delivered_before_the_error() -> None:
    connection = await opened(LENGTH + BODY[:100])
    connection.connection_lost(None)
    body = aiter(connection.body())
    assert await anext(body) == BODY[:100]
    with pytest.raises(Exception, match="closed before the end"):
        await anext(body)


def receive(connection: StreamConnection, data: bytes) -> None:
    """Write to the buffers of a connection as the event loop does."""
    while data:
        buffer = connection.get_buffer(-1)
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]
