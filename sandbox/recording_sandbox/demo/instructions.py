"""How to use the parts of the demo while --keep leaves them running."""

import asyncio
import shlex
import signal
import uuid
from collections.abc import Mapping
from typing import Final

from recording_sandbox.demo.environment import DemoEnvironment

_TOOL_VARIABLES: Final = (
    "AMQP_URL",
    "DATABASE_URL",
    "WORKER_NAME_PREFIX",
    "WORKER_RETRY_DELAYS_SECONDS",
    "WORKER_ARCHIVE_URL",
)


def tool_variables(environment: DemoEnvironment) -> dict[str, str]:
    """The variables that let the command line reach the demo's broker and state."""
    worker = environment.worker
    variables = {name: value for name, value in worker.settings.items() if name in _TOOL_VARIABLES}
    return {**variables, "DATABASE_URL": f"sqlite:///{worker.directory / 'state.db'}"}


def addresses(environment: DemoEnvironment) -> dict[str, str]:
    """The URLs of the parts, and the path of the worker's log."""
    return {
        "base_url": environment.sandbox.base_url,
        "control_url": environment.sandbox.control_url,
        "worker_url": environment.worker.url,
        "worker_log": str(environment.worker.log),
    }


def usage_text(variables: Mapping[str, str], urls: Mapping[str, str]) -> str:
    """Commands to copy into another terminal."""
    exports = "\n".join(
        f"  export {name}={shlex.quote(value)}" for name, value in variables.items()
    )
    return f"""
Everything keeps running until Ctrl-C. The console shows it in a browser:

  {urls["console_url"]}
  To act there, log in with the token {urls["console_token"]}

In another terminal:

{exports}
  recording-worker tail &
  recording-worker send start_track_recording --meeting-id {uuid.uuid4()} --id try-1 --wait
  recording-worker send stop_recording --start-id try-1 --wait
  recording-worker status --worker-url {urls["worker_url"]}
  recording-worker recordings
  recording-worker recordings show try-1
  curl -s {urls["control_url"]}/meetings -d '{{"participants": ["ana", "ben"], "begins_in": 240}}'
  curl -s {urls["control_url"]}/request-log
  curl -s {urls["worker_url"]}/metrics
  less {urls["worker_log"]}
"""


async def wait_for_signal() -> None:
    """Return at Ctrl-C or SIGTERM, which then have no other effect."""
    loop = asyncio.get_running_loop()
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    await signalled.wait()
