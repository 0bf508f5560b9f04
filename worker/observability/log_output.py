"""Writes log lines to a stream without ever waiting for the program that reads it."""

import io
import os
import select
import time
from contextlib import suppress
from typing import Final, TextIO

PIECE_BYTES: Final = 4096
"""A pipe that is ready takes this many bytes at once (PIPE_BUF, a page of Linux)."""

MAX_WAITING_BYTES: Final = 2**20
"""Above this, the output is full."""


class LogOutput:
    """Keeps what the reader of a pipe does not take, and writes it later.

    A write to a pipe whose reader has stopped would block the event loop: no probe would be
    answered, and no signal handled. Text that cannot be written at all is dropped: the caller
    cannot repair a closed pipe or a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rest = b""

    @property
    def is_waiting(self) -> bool:
        """Whether text waits for the reader."""
        return bool(self._rest)

    @property
    def is_full(self) -> bool:
        """Whether so much text waits that no more should be added."""
        return len(self._rest) > MAX_WAITING_BYTES

    def write(self, text: str) -> None:
        """Write what the reader takes now: the text that waits, and then this one."""
        try:
            number = self._stream.fileno()
        except (io.UnsupportedOperation, ValueError):
            with suppress(OSError, ValueError):  # a stream in memory, or a closed one
                self._stream.write(text)
                self._stream.flush()
            return
        encoded = text.encode(self._stream.encoding, self._stream.errors or "backslashreplace")
        try:
            self._rest = _write(number, self._rest + encoded)
        except OSError:
            self._rest = b""

    def wait(self, seconds: float) -> None:
        """Write the text that waits, as the reader takes it, for at most so many seconds."""
        until = time.monotonic() + seconds
        while self._rest and (left := until - time.monotonic()) > 0:
            _is_ready(self._stream.fileno(), left)
            self.write("")


def _write(number: int, data: bytes) -> bytes:
    """Write to this file descriptor as long as it is ready. Returns the rest."""
    rest = memoryview(data)
    while rest and _is_ready(number):
        try:
            rest = rest[os.write(number, rest[:PIECE_BYTES]) :]
        except BlockingIOError:  # another program made the pipe non-blocking
            break
    return bytes(rest)


def _is_ready(number: int, seconds: float = 0.0) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
