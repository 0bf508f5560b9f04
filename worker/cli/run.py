"""`recording-worker run`."""

import asyncio
import errno
import gc
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import stopped_by_signals

if TYPE_CHECKING:
    from worker.settings.settings import Settings

EXAMPLES = """\
\b
Examples:
  AMQP_URL=amqp://guest:guest@127.0.0.1/ REALTIMEKIT_ACCOUNT_ID=… REALTIMEKIT_APP_ID=… \\
    REALTIMEKIT_API_TOKEN_FILE=/run/secrets/token recording-worker run
  LOG_FORMAT=json LOG_LEVEL=warning recording-worker run

Exit codes: 0 after a clean stop, 1 when it cannot start or go on, 2 when a setting is wrong.
"""
YOUNG: Final = 50_000
"""New objects between two looks for cycles among them. Commands make few cycles and many objects:
with the interpreter's 700, looking took a tenth of the time."""

FOR_TERMINALS: Final = ("httpx._main", "rich", "pygments")
"""What httpx, structlog and mako load where they find it, to be pretty on a terminal: a tenth of
the worker's memory, and of its start."""

NO_SUCH_DOOR: Final = {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}


@click.command(epilog=EXAMPLES)
def command() -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand.

    A second signal ends it at once; the broker then delivers again what was in hand.
    """
    for name in FOR_TERMINALS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # cannot be imported any more
    from worker.observability.logs import configure_logs
    from worker.settings.settings import Settings

    settings = Settings.from_env(os.environ)
    configure_logs(
        level=settings.log_level,
        format=settings.log_format,
        sensitive=settings.sensitive_texts(),
    )
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_work(settings))
    except OSError as error:
        if error.errno not in NO_SUCH_DOOR and not isinstance(error, socket.gaierror):
            raise
        raise click.ClickException(_cannot_serve(settings, error)) from error


async def _work(settings: "Settings") -> None:
    with stopped_by_signals() as stop:
        # Loading it takes most of the start, during which a signal counts as well.
        from worker.app import Worker

        gc.freeze()  # what is loaded stays
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        await Worker(settings).run(stop)


def _cannot_serve(settings: "Settings", error: OSError) -> str:
    address = f"{settings.http_host}:{settings.http_port}"
    return f"HTTP_HOST, HTTP_PORT: cannot serve on {address}: {error.strerror or error}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The fast loop, where there is one."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
