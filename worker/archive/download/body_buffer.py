"""The part of a body that has arrived and waits: in pieces of the parser, or in buffers without
a copy."""

from collections import deque
from typing import Final

BUFFER_BYTES: Final = 1024 * 1024
SMALL_BYTES: Final = 4096
_NOTHING: Final = memoryview(b"")


class ParsedBody:
    """The pieces of a body that the parser finds.

    Small ones are joined. Otherwise a source that sends chunks of one byte would cost a hundred
    times their size.
    """

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._small = bytearray()
        self.waiting = 0

    def append(self, piece: bytes) -> None:
        """Keep a piece."""
        self.waiting += len(piece)
        if len(piece) < SMALL_BYTES:
            self._small += piece
            if len(self._small) < SMALL_BYTES:
                return
            piece = b""
        self._add_small()
        if piece:
            self._pieces.append(piece)

    def take(self) -> bytes:
        """The next piece. Needs `waiting`."""
        if not self._pieces:
            self._add_small()
        piece = self._pieces.popleft()
        self.waiting -= len(piece)
        return piece

    def _add_small(self) -> None:
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small.clear()


class BufferedBody:
    """Takes a body of `size` bytes in buffers that the socket writes into."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._buffer = _NOTHING
        self._filled = 0
        self._taken = 0
        self._full: deque[memoryview] = deque()
        self.waiting = 0
        self._renew()

    @property
    def is_complete(self) -> bool:
        """Whether the whole body has arrived."""
        return not self._missing

    def free(self) -> memoryview:
        """Where to write the next bytes: never more than the remaining body, so perhaps nothing."""
        return self._buffer[self._filled :]

    def received(self, count: int) -> None:
        """Note that `count` bytes were written to `free()`."""
        self._filled += count
        self._missing -= count
        self.waiting += count
        if self._filled == len(self._buffer):
            self._full.append(self._buffer[self._taken :])
            self._renew()

    def write(self, piece: bytes) -> None:
        """Copy bytes that arrived together with the head of the response."""
        rest = memoryview(piece)
        while rest:
            free = self.free()
            count = min(len(free), len(rest))
            free[:count] = rest[:count]
            self.received(count)
            rest = rest[count:]

    def take(self) -> memoryview:
        """The next bytes that arrived, all from one buffer. Needs `waiting`."""
        if self._full:
            piece = self._full.popleft()
        else:
            piece = self._buffer[self._taken : self._filled]
            self._taken = self._filled
        self.waiting -= len(piece)
        return piece

    def _renew(self) -> None:
        self._buffer = memoryview(bytearray(min(BUFFER_BYTES, self._missing)))
        self._filled = self._taken = 0
