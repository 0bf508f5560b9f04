"""Writes log lines to a stream without ever waiting for the program that reads it."""

import io
import os
import select
import time
from contextlib import suppress
from typing import Final, TextIO

from worker.domain.escaping import ENCODING_ERRORS

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
        self._ends_within_line = False
        self.has_failed = False
        """Whether the last text could not be written, for another reason than its reader's pace."""

    @property
    def is_waiting(self) -> bool:
        """Whether text waits for the reader."""
        return bool(self._rest)

    @property
    def is_full(self) -> bool:
        """Whether so much text waits that no more should be added."""
        return len(self._rest) > MAX_WAITING_BYTES

    def write(self, text: str) -> int:
        """Write what the reader takes now: the text that waits, and then this one.

        Returns how many lines were dropped because they could not be written.
        """
        try:
            number = self._stream.fileno()
        except (io.UnsupportedOperation, ValueError):
            with suppress(OSError, ValueError):  # a stream in memory, or a closed one
                self._stream.write(text)
                self._stream.flush()
            return 0
        encoded = text.encode(self._stream.encoding, ENCODING_ERRORS)
        if encoded and self._ends_within_line and not self._rest:
            self._rest = b"\n"  # the rest of that line was dropped
        return self._write(number, encoded)

    def wait(self, seconds: float) -> None:
        """Write the text that waits, as the reader takes it, for at most so many seconds."""
        until = time.monotonic() + seconds
        with suppress(ValueError):  # the stream was closed
            while self._rest and (left := until - time.monotonic()) > 0:
                _is_ready(self._stream.fileno(), left)
                self.write("")

    def _write(self, number: int, added: bytes) -> int:
        """Write to this file descriptor as long as it is ready, and keep the rest."""
        data = self._rest + added
        if not data:
            return 0
        position, self.has_failed = 0, False
        try:
            while position < len(data) and _is_ready(number):
                position += os.write(number, data[position : _end_of_piece(data, position)])
        except BlockingIOError:  # another program made the pipe non-blocking
            pass
        except OSError:
            self.has_failed = True
        if position:
            self._ends_within_line = data[position - 1 : position] != b"\n"
        if not self.has_failed:
            self._rest = data[position:]
            return 0
        self._rest = b""
        return data.count(b"\n", position) - data.startswith(b"\n", position)


def _end_of_piece(data: bytes, start: int) -> int:
    """The end of the last whole line that a pipe takes at once, so that the lines of several
    programs stay whole. A longer line is cut."""
    longest = start + PIECE_BYTES
    return data.rfind(b"\n", start, longest) + 1 or longest


def _is_ready(number: int, seconds: float = 0.0) -> bool:
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
