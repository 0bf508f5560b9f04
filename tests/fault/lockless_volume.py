"""`python -m tests.fault.lockless_volume <url> <errno> <flock> <fcntl>`: a store without locks.

A filter of the kernel lets the two system calls fail with the error, as long as the process lives.
The refusal of the store is printed.
"""

import asyncio
import ctypes
import struct
import sys

from worker.domain.errors import StoreUnavailable
from worker.store.store import Store

F_SETLK = 6


def lack_locks(error: int, flock: int, record_lock: int) -> None:
    """Let these system calls fail, if they ask for a lock."""
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (0x20, 0, 0, 0),  # load the number of the call
            (0x15, 3, 0, flock),  # is it flock? fail
            (0x15, 0, 3, record_lock),  # is it fcntl? else allow
            (0x20, 0, 0, 24),  # load its command
            (0x15, 0, 1, F_SETLK),  # is it a lock? else allow
            (0x06, 0, 0, 0x00050000 | error),  # fail with the error
            (0x06, 0, 0, 0x7FFF0000),  # allow
        )
    )
    buffer = ctypes.create_string_buffer(program)
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 7, ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, filter_, 0, 0) == 0


if __name__ == "__main__":
    url, *numbers = sys.argv[1:]
    lack_locks(*map(int, numbers))
    try:
        asyncio.run(Store.open(url, source="test"))
    except StoreUnavailable as unavailable:
        print(unavailable)
