"""With --keep: everything stays up, and here is how to play with it."""

import asyncio
import shlex
import signal
import uuid
from collections.abc import Mapping
from typing import Final

from sandbox.demo.environment import DemoEnvironment

_OF_THE_TOOLS: Final = (
    "AMQP_URL",
    "DATABASE_URL",
    "WORKER_NAME_PREFIX",
    "WORKER_RETRY_DELAYS_SECONDS",
)


def tool_variables(stage: DemoEnvironment) -> dict[str, str]:
    """What the command line needs to reach this stage's broker and state from elsewhere."""
    found = {name: stage.worker.settings[name] for name in _OF_THE_TOOLS}
    return {**found, "DATABASE_URL": f"sqlite:///{stage.worker.directory / 'state.db'}"}


def addresses(stage: DemoEnvironment) -> dict[str, str]:
    """Where the parts listen."""
    return {
        "base_url": stage.sandbox.base_url,
        "control_url": stage.sandbox.control_url,
        "worker_url": stage.worker.url,
        "worker_log": str(stage.worker.log),
    }


def usage_text(variables: Mapping[str, str], where: Mapping[str, str]) -> str:
    """Lines for another terminal."""
    exports = "\n".join(
        f"  export {name}={shlex.quote(value)}" for name, value in variables.items()
    )
    return f"""
Everything stays up until Ctrl-C. In another terminal:

{exports}
  recording-worker tail &
  recording-worker send start_track_recording --meeting-id {uuid.uuid4()} --id try-1 --wait
  recording-worker send stop_recording --start-id try-1 --wait
  recording-worker recordings
  curl -s {where["control_url"]}/request_log
  curl -s {where["worker_url"]}/metrics
  less {where["worker_log"]}
"""


async def wait_for_signal() -> None:
    """Return at Ctrl-C or SIGTERM, which then ended nothing else."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    await signalled.wait()
