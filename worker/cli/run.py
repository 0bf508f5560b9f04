"""`recording-worker run`: starts the worker."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import stopped_by_signals
from worker.cli.open_files import raise_file_limit

if TYPE_CHECKING:
    from worker.settings.settings import Settings

EXAMPLES = """\
\b
Examples:
  AMQP_URL=amqp://guest:guest@127.0.0.1/ REALTIMEKIT_ACCOUNT_ID=… REALTIMEKIT_APP_ID=… \\
    REALTIMEKIT_API_TOKEN_FILE=/run/secrets/token recording-worker run
  LOG_FORMAT=json LOG_LEVEL=warning recording-worker run

Exit codes: 0 stopped cleanly, 1 cannot start or continue, 2 wrong settings.
"""
GC_THRESHOLD: Final = 50_000
"""The number of new objects between two runs of the garbage collector. Commands make many
objects and few cycles: with the interpreter's 700, the collector took a tenth of the time."""

TERMINAL_LIBRARIES: Final = ("httpx._main", "rich", "pygments")
"""Libraries that httpx, structlog and mako import for terminal output, where they are installed.
They cost a tenth of the worker's memory and of its start time."""


@click.command(epilog=EXAMPLES)
def command() -> None:
    """Run the worker.

    On SIGTERM, SIGINT or SIGHUP the worker finishes the commands in progress and stops. A second
    signal ends it at once. The broker then delivers the unfinished commands again.
    """
    raise_file_limit()
    for name in TERMINAL_LIBRARIES:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # makes an import of it fail
    from worker.observability.logs import configure_logs
    from worker.settings.settings import Settings

    settings = Settings.from_env(os.environ)
    configure_logs(
        level=settings.log_level,
        format=settings.log_format,
        sensitive_texts=settings.sensitive_texts(),
    )
    _leave_out_unusable()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run_worker(settings))
    except OSError as error:
        from worker.observability.http_server import CannotListen

        if not isinstance(error, CannotListen):
            raise
        raise click.ClickException(_address_error(settings, error)) from error


def _leave_out_unusable() -> None:
    """Remove OTEL_ variables that cannot be used, because OpenTelemetry's SDK reads them itself."""
    import structlog

    from worker.settings.otel import usable_environment

    usable = usable_environment(os.environ)
    for variable, reason in usable.warnings:
        structlog.get_logger().warning("otel_variable_unusable", variable=variable, reason=reason)
    for variable in usable.unusable:
        del os.environ[variable]


async def _run_worker(settings: "Settings") -> None:
    with stopped_by_signals() as stop:
        # Imported here, because the import takes most of the start and a signal must stop it.
        from worker.app import Worker

        gc.freeze()  # imported modules stay: the collector need not check them
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
        await Worker(settings).run(stop)


def _address_error(settings: "Settings", error: OSError) -> str:
    host = f"[{settings.http_host}]" if ":" in settings.http_host else settings.http_host
    address = f"{host}:{settings.http_port}"
    return f"HTTP_HOST, HTTP_PORT: cannot serve on {address}: {error.strerror}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, which is faster, if it is installed."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
