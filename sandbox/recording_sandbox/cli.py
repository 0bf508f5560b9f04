"""`recording-sandbox`, also `recording-worker sandbox`: the emulated API as a process."""

import asyncio
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

if TYPE_CHECKING:
    from recording_sandbox.api.options import SandboxOptions
    from recording_sandbox.api.server import Sandbox

_EXAMPLES = """
\b
Examples:
  recording-sandbox --port 8090
  recording-sandbox --port 8090 --speed 60 --request-log var/requests.jsonl
  recording-sandbox --strict --token secret --set no_session_status=404
  recording-sandbox --set rate_limits='["1200/300","1000/50:recordings"]'
  curl -s http://127.0.0.1:8090/sandbox/request-log | jq .counts

docs/reference/sandbox.md describes its behaviour, its faults and its control plane.
"""


def _fields(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, object]:
    """`NAME=VALUE` pairs. A value is JSON, or a plain word."""
    del context, parameter
    fields: dict[str, object] = {}
    for pair in values:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE")
        try:
            fields[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            fields[name] = text
    return fields


def _speed(context: click.Context, parameter: click.Parameter, value: float) -> float:
    del context, parameter
    if not 0 <= value < float("inf"):
        raise click.BadParameter("must be a number from 0 on")
    return value


@click.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=0,
    show_default="any free port",
    type=click.IntRange(0, 65535),
    help="Port to listen on.",
)
@click.option(
    "--public-url", help="URL that clients use, if it differs from the listening address."
)
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    callback=_speed,
    help="Seconds of sandbox time in a real second. 0 stops the clock.",
)
@click.option("--strict", is_flag=True, help="Refuse unknown meetings and tokens.")
@click.option("--token", "tokens", multiple=True, help="A token that is valid in strict mode.")
@click.option(
    "--seed", type=int, help="Seed of recording ids and random faults. The same seed repeats them."
)
@click.option(
    "--set", "behaviour", multiple=True, callback=_fields, metavar="NAME=VALUE",
    help="Set a field of the behaviour (see docs/reference/sandbox.md). May be repeated.",
)  # fmt: skip
@click.option(
    "--request-log",
    "request_log_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write each entry of the request log to this file, as JSON lines.",
)
@click.option(
    "--request-log-limit",
    type=click.IntRange(min=1),
    help="Keep at most this many entries of each kind in memory.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one JSON line.")
def sandbox(
    host: str,
    port: int,
    public_url: str | None,
    speed: float,
    strict: bool,
    tokens: tuple[str, ...],
    seed: int | None,
    behaviour: dict[str, object],
    request_log_path: Path | None,
    request_log_limit: int | None,
    as_json: bool,
) -> None:
    """Serve an emulated RealtimeKit API until SIGTERM or SIGINT.

    It accepts any account, any app and any token. An unknown meeting is live, and has three
    participants. The first lines of the output configure a worker to use it.
    """
    # Imported here because `recording-worker --help` loads this module, which must be quick.
    from recording_sandbox.api.options import SandboxOptions
    from recording_sandbox.model.behaviour import Behaviour

    try:
        chosen = msgspec.convert({"strict": strict, **behaviour}, Behaviour)
    except msgspec.ValidationError as error:
        raise click.BadParameter(_message(error), param_hint="--set") from error
    options = SandboxOptions(
        host=host,
        port=port,
        public_url=public_url.rstrip("/") if public_url else None,
        speed=speed,
        seed=seed,
        tokens=tokens,
        request_log_limit=request_log_limit,
        request_log_path=request_log_path,
        behaviour=chosen,
    )
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(options, as_json=as_json))
    except OSError as error:
        raise click.ClickException(f"cannot serve on {host}:{port}: {error.strerror}") from error


async def _serve(options: "SandboxOptions", *, as_json: bool) -> None:
    from recording_sandbox.api.server import Sandbox

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Sandbox(options) as running:
        _print_addresses(running, as_json=as_json)
        await stopped.wait()


def _print_addresses(running: "Sandbox", *, as_json: bool) -> None:
    variables = running.environment
    if as_json:
        addresses = {
            "base_url": running.base_url,
            "webhook_key_url": running.webhook_key_url,
            "control_url": running.control_url,
            "environment": variables,
        }
        click.echo(msgspec.json.encode(addresses).decode())
    else:
        click.echo(f"# Emulated API     {running.base_url}")
        click.echo(f"# Webhook key      {running.webhook_key_url}")
        click.echo(f"# Control plane    {running.control_url}")
        click.echo("# To make a worker use it:")
        for name, value in variables.items():
            click.echo(f"export {name}={value}")
    sys.stdout.flush()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's factory if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _message(error: msgspec.ValidationError) -> str:
    return re.sub(r" - at `\$\.?(.*)`$", r" for \1", str(error))
