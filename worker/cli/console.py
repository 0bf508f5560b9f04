"""`recording-worker console`: serves a page for operators."""

import asyncio
import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import stopped_by_signals, topology_from
from worker.cli.worker_url import worker_url_option

if TYPE_CHECKING:
    from worker.console.peers import Network
    from worker.console.server import ConsoleOptions
    from worker.settings.settings import ConsoleSettings

DEFAULT_PORT: Final = 8070

EXAMPLES = """\
\b
Examples:
  recording-worker console
  WORKER_CONSOLE_TOKEN_FILE=/run/secrets/console recording-worker console
  WORKER_CONSOLE_TOKEN_FILE=/run/secrets/console recording-worker console --host :: \\
    --allowed-host recordings.example.com
  kubectl exec -i deploy/recording-worker -- env AMQP_URL_FILE=/dev/stdin \\
    recording-worker console < operator-url &
  kubectl port-forward deploy/recording-worker 8070

The console shows what is recorded now, each recording from its command to its files, commands,
dead letters, the archive and the request budget. It reads the database of DATABASE_URL, and
receives events from AMQP_URL as `tail` does, with the same rights. It asks a worker whether the API
can be used. It is a separate process, and changes nothing without an action.

Without a token it only reads, and only this machine can connect. With WORKER_CONSOLE_TOKEN, or
WORKER_CONSOLE_TOKEN_FILE, anyone who has the token may also act: replay and drop dead letters, stop
recordings, and archive them again. Each action is logged. Other machines may connect only if there
is a token; put TLS in front of the console then.

\b
Exit codes: 0 stopped cleanly, 1 cannot start, 2 wrong flags or settings.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Any but that of this machine needs a token.",
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on. 0 selects a free port.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name under which browsers may open the console, such as that of a proxy in front of "
    "it; may be repeated. Addresses and localhost are always allowed.",
)
@click.option(
    "--trusted-proxy",
    "proxies",
    multiple=True,
    metavar="NETWORK",
    help="The address or network of a proxy in front of the console, whose X-Forwarded-For names "
    "the browser's address; may be repeated.",
)
@worker_url_option
def command(
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    proxies: tuple[str, ...],
    worker_url: str | None,
) -> None:
    """Serve a page for operators, to open in a browser."""
    from worker.console.server import ConsoleOptions
    from worker.observability.http_server import CannotListen
    from worker.observability.logs import configure_logs
    from worker.settings.settings import ConsoleSettings

    networks = tuple(_network(text) for text in proxies)
    settings = ConsoleSettings.from_env(os.environ)
    is_public = not _is_loopback(host)
    if is_public and settings.console_token is None:
        raise click.UsageError(
            f"--host {host}: other machines could connect, which needs a token: set "
            "WORKER_CONSOLE_TOKEN or WORKER_CONSOLE_TOKEN_FILE"
        )
    configure_logs(
        level=settings.log_level,
        format=settings.log_format,
        sensitive_texts=settings.sensitive_texts(),
    )
    try:
        options = ConsoleOptions(
            host=host,
            port=port,
            is_public=is_public,
            allowed_hosts=allowed_hosts,
            trusted_proxies=networks,
            worker_url=worker_url,
        )
        asyncio.run(_serve(settings, options))
    except CannotListen as error:
        raise click.ClickException(
            f"--host, --port: cannot serve on {_authority(host, port)}: {error.strerror}"
        ) from error


async def _serve(settings: "ConsoleSettings", options: "ConsoleOptions") -> None:
    from worker.console.server import Console

    def listening(chosen: int) -> None:
        rights = "read-only" if settings.console_token is None else "actions need the token"
        click.echo(
            f"The console is at http://{_authority(options.host, chosen)} ({rights})", err=True
        )

    with stopped_by_signals() as stop:
        await Console(settings, topology_from(settings), options).run(stop, listening)


def _network(text: str) -> "Network":
    from worker.console.peers import parse_network

    try:
        return parse_network(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--trusted-proxy") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
