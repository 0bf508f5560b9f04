"""An SQLite file on a volume that has no file locks, such as some NFS mounts."""

import asyncio
import errno
import platform
import sys
from pathlib import Path

import pytest

FLOCK_NUMBERS = {"x86_64": 73, "aarch64": 32}
"""The number of the system call, by machine."""

OPEN_WITHOUT_LOCKS = """
import asyncio, ctypes, struct, sys
from worker.domain.errors import StoreUnavailable
from worker.store.store import Store

url, number, error = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# A filter of the kernel: this system call fails, all others are allowed.
program = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x20, 0, 0, 0),  # load the number of the call
        (0x15, 0, 1, number),  # is it flock?
        (0x06, 0, 0, 0x00050000 | error),  # fail with the error
        (0x06, 0, 0, 0x7FFF0000),  # allow
    )
)
buffer = ctypes.create_string_buffer(program)
fprog = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(fprog), 0, 0) == 0
try:
    asyncio.run(Store.open(url, source="test"))
except StoreUnavailable as unavailable:
    print(unavailable)
"""


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
async def test_a_volume_without_locks_is_not_taken_for_another_worker(
    tmp_path: Path, error: int
) -> None:
    number = FLOCK_NUMBERS[platform.machine()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OPEN_WITHOUT_LOCKS),
        *(f"sqlite:///{tmp_path / 'state.db'}", str(number), str(error)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await process.communicate()

    text = output.decode()
    assert text.startswith(f"the volume of {tmp_path / 'state.db'} has no file locks")
    assert "PostgreSQL" in text
    assert "another worker" not in text
