"""The worker process never outlives the test or demo that started it."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from recording_sandbox.demo.worker_process import WorkerProcess


async def test_a_stop_that_is_cancelled_leaves_no_worker_behind(tmp_path: Path) -> None:
    worker = WorkerProcess({}, tmp_path)
    await worker.start()
    worker.signal(signal.SIGSTOP)  # a stopped process does not react to SIGTERM
    await asyncio.to_thread(os.waitid, os.P_PID, worker.pid, os.WSTOPPED | os.WNOWAIT)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not worker.running
    assert await worker.ended() == -signal.SIGKILL
