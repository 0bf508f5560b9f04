"""An SQLite file on a volume that has no file locks, such as some NFS mounts."""

import asyncio
import errno
import platform
import sys
from pathlib import Path

import pytest

FLOCK_NUMBERS = {"x86_64": 73, "aarch64": 32}
FCNTL_NUMBERS = {"x86_64": 72, "aarch64": 25}
"""The numbers of the system calls, by machine. `flock` locks whole files, `fcntl` parts of them."""

OPEN_WITHOUT_LOCKS = """
import asyncio, ctypes, struct, sys
from worker.domain.errors import StoreUnavailable
from worker.store.store import Store

url, error, flock, record_lock = sys.argv[1], *map(int, sys.argv[2:])
F_SETLK = 6
# A filter of the kernel: these locks fail, all other system calls are allowed.
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
fprog = struct.pack("HxxxxxxP", 7, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(fprog), 0, 0) == 0
try:
    asyncio.run(Store.open(url, source="test"))
except StoreUnavailable as unavailable:
    print(unavailable)
"""


NO_CALL = 0xFFFF
LACKING = {
    "no locks": (FLOCK_NUMBERS[platform.machine()], FCNTL_NUMBERS[platform.machine()]),
    "no locks of whole files": (FLOCK_NUMBERS[platform.machine()], NO_CALL),
    "no locks of parts of files": (NO_CALL, FCNTL_NUMBERS[platform.machine()]),
}


@pytest.mark.parametrize("lacking", LACKING)
@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
async def test_a_volume_without_locks_is_not_taken_for_another_worker(
    tmp_path: Path, error: int, lacking: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OPEN_WITHOUT_LOCKS),
        *(f"sqlite:///{tmp_path / 'state.db'}", str(error), *map(str, LACKING[lacking])),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    output, _ = await process.communicate()

    text = output.decode()
    assert text.startswith(f"the volume of {tmp_path / 'state.db'} has no file locks")
    assert "PostgreSQL" in text
    assert "another worker" not in text
