"""`recording-worker sandbox`: the emulated API as a process of its own."""

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
    from sandbox.api.server import Sandbox, SandboxOptions

_EXAMPLES = """
\b
Examples:
  recording-worker sandbox --port 8090
  recording-worker sandbox --port 8090 --speed 60 --request log var/request_log.jsonl
  recording-worker sandbox --strict --token secret --set no_session_status=404
  recording-worker sandbox --set rate_limits='["1200/300","1000/50:recordings"]'
  curl -s http://127.0.0.1:8090/sandbox/request-log | jq .counts

How to steer it while it runs stands in docs/sandbox.md.
"""


def _fields(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, object]:
    """`name=value` pairs; a value is JSON, or a plain word."""
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


def _rate(context: click.Context, parameter: click.Parameter, value: float) -> float:
    del context, parameter
    if not 0 <= value < float("inf"):
        raise click.BadParameter("must be a number from 0 on")
    return value


@click.command(epilog=_EXAMPLES)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=0,
    show_default="any free one",
    type=click.IntRange(0, 65535),
    help="Port to listen on.",
)
@click.option("--public-url", help="Where clients reach it, if not at the address it listens on.")
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    callback=_rate,
    help="Seconds of sandbox time in a second; 0 stands still.",
)
@click.option("--strict", is_flag=True, help="Refuse meetings and tokens nobody told it of.")
@click.option("--token", "tokens", multiple=True, help="A token that is good in strict mode.")
@click.option("--seed", type=int, help="Same recording ids and same dice for faults each time.")
@click.option(
    "--set", "behaviour", multiple=True, callback=_fields, metavar="NAME=VALUE",
    help="Set a field of the behaviour (see docs/sandbox.md). May be repeated.",
)  # fmt: skip
@click.option(
    "--request-log",
    "request_log_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write every entry of the request log to this file, as JSON lines.",
)
@click.option(
    "--request-log-limit", type=click.IntRange(min=1), help="Keep so many entries of each kind."
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

    It takes any account, any app and any token, and a meeting it has not heard of is live with
    three participants. What it prints first points a worker at it.
    """
    # Late, because `recording-worker --help` loads this file also where only the worker's own
    # dependencies are installed.
    from sandbox.api.server import SandboxOptions
    from sandbox.model.behaviour import Behaviour

    try:
        chosen = msgspec.convert({"strict": strict, **behaviour}, Behaviour)
    except msgspec.ValidationError as error:
        raise click.BadParameter(_in_words(error), param_hint="--set") from error
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
    from sandbox.api.server import Sandbox

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Sandbox(options) as running:
        _print_addresses(running, as_json=as_json)
        await stopped.wait()


def _print_addresses(running: "Sandbox", *, as_json: bool) -> None:
    environment = {
        "REALTIMEKIT_BASE_URL": running.base_url,
        "REALTIMEKIT_WEBHOOK_KEY_URL": running.webhook_key_url,
        "REALTIMEKIT_ACCOUNT_ID": "sandbox",
        "REALTIMEKIT_APP_ID": "sandbox",
    }
    if not running.behaviour.strict:
        environment["REALTIMEKIT_API_TOKEN"] = "sandbox"  # noqa: S105 -- any token is good
    if as_json:
        addresses = {
            "base_url": running.base_url,
            "webhook_key_url": running.webhook_key_url,
            "control_url": running.control_url,
            "environment": environment,
        }
        click.echo(msgspec.json.encode(addresses).decode())
    else:
        click.echo(f"# Emulated API     {running.base_url}")
        click.echo(f"# Webhook key      {running.webhook_key_url}")
        click.echo(f"# Control, log      {running.control_url}")
        click.echo("# Point a worker at it with:")
        for name, value in environment.items():
            click.echo(f"export {name}={value}")
    sys.stdout.flush()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The fast loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _in_words(error: msgspec.ValidationError) -> str:
    return re.sub(r" - at `\$\.?(.*)`$", r" for \1", str(error))
