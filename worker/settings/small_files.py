"""Reads small files that an operator names. A named pipe does not block the worker."""

import os
import select
import stat
from pathlib import Path
from typing import Final

MAX_FILE_BYTES: Final = 65_536
PIPE_TIMEOUT_SECONDS: Final = 10.0
"""How long the writer of a pipe may be silent."""


class SilentPipe(Exception):
    """Nothing was written to the pipe in time."""


def read_small_file(path: Path, *, pipe_timeout: float) -> bytes:
    """The content of a file, of at most `MAX_FILE_BYTES` + 1 bytes.

    `pipe_timeout` is in seconds. Raises OSError, and SilentPipe for a pipe to which nothing was
    written in that time.
    """
    # Without O_NONBLOCK, opening a named pipe waits until a writer opens it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return _read_pipe(descriptor, pipe_timeout)
        os.set_blocking(descriptor, True)
        return file.read(MAX_FILE_BYTES + 1)


def _read_pipe(descriptor: int, timeout: float) -> bytes:
    """Read to the end, which is reached when no writer has the pipe open any more."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    content = b""
    while len(content) <= MAX_FILE_BYTES:
        try:
            part = os.read(descriptor, MAX_FILE_BYTES + 1 - len(content))
        except BlockingIOError:  # a writer has it open, and has written nothing more yet
            part = None
        if part:
            content += part
        elif part is not None and content:
            break
        elif not poll.poll(timeout * 1000):
            raise SilentPipe
    return content
