"""The console of `demo --keep`: a separate process, and a page in the browser."""

import os
import secrets
import sys
import webbrowser
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.services.ports import free_ports


@asynccontextmanager
async def open_console(
    variables: Mapping[str, str], directory: Path, *, worker_url: str
) -> AsyncIterator[dict[str, str]]:
    """Run a console with these variables. Yields its `console_url` and `console_token`.

    It asks the worker at `worker_url` whether the API can be used.

    Raises:
        LaunchError: if it does not start.
    """
    (port,) = free_ports(1)
    token = secrets.token_urlsafe(16)
    settings = {**variables, "HTTP_PORT": str(port), "WORKER_CONSOLE_TOKEN": token}
    flags = ("--port", str(port), "--worker-url", worker_url)
    console = WorkerProcess(settings, directory, module=("worker", "console", *flags))
    console.log = directory / "console.log"
    await console.start()
    try:
        await console.ready()
        yield {"console_url": console.url, "console_token": token}
    finally:
        await console.stop()


def show_in_browser(url: str) -> None:
    """Open the page, where there is a desktop. A browser of the terminal would take it over."""
    has_desktop = sys.platform == "darwin" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if has_desktop and sys.stdout.isatty():
        webbrowser.open(url)
