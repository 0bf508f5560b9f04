"""A worker whose relay gets stuck while the file `STUCK_FILE` exists (default: `stuck`).

The content of the file says how. `waits`: one task waits forever. `blocks`: the event loop is
blocked, as by a call that does not return. A loop counts as stuck after three seconds, and every
loop iterates more often than that.
"""

import asyncio
import math
import os
import time
from pathlib import Path
from typing import Final

import worker.bootstrap
import worker.store.pruner
from worker.__main__ import main
from worker.publishing.relay import OutboxRelay

STUCK_RELAY_MODULE: Final = ("tests.e2e.stuck_relay_worker",)
STUCK_FILE: Final = Path(os.environ.get("STUCK_FILE", "stuck"))
CHECK_INTERVAL_SECONDS: Final = 0.05


class StuckRelay(OutboxRelay):
    """Stops in each iteration until the file is gone."""

    async def publish_pending(self, *, until: float = math.inf) -> bool:
        if self._replies:
            return await super().publish_pending(until=until)
        if _how() == "blocks":
            _gone()
        elif _how() == "waits":
            await asyncio.to_thread(_gone)
        return await super().publish_pending(until=until)


def _gone() -> None:
    while STUCK_FILE.exists():
        time.sleep(CHECK_INTERVAL_SECONDS)


def _how() -> str:
    try:
        return STUCK_FILE.read_text()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    vars(worker.bootstrap).update(OutboxRelay=StuckRelay, STUCK_AFTER_SECONDS=3.0)
    vars(worker.store.pruner).update(PRUNE_INTERVAL_SECONDS=0.5)
    main(["run"])
