"""An SQLite file on a volume that has no file locks, such as some NFS mounts."""

import errno
import platform
from pathlib import Path

import pytest

from recording_sandbox.waiting import eventually
from tests.forked_process import FORK_SERVER

FLOCK_NUMBERS = {"x86_64": 73, "aarch64": 32}
FCNTL_NUMBERS = {"x86_64": 72, "aarch64": 25}
"""The numbers of the system calls, by machine. `flock` locks whole files, `fcntl` parts of them."""

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
    assert FORK_SERVER is not None
    log = tmp_path / "log"
    arguments = (f"sqlite:///{tmp_path / 'state.db'}", error, *LACKING[lacking])
    process = FORK_SERVER.fork(
        ("tests.fault.lockless_volume", *map(str, arguments)), environ={}, log=log
    )
    await eventually(lambda: not process.running)
    process.kill()  # closes its handles

    text = log.read_text()
    assert text.startswith(f"the volume of {tmp_path / 'state.db'} has no file locks")
    assert "PostgreSQL" in text
    assert "another worker" not in text
