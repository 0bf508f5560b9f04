"""`recording-worker demo`: argv to a function call."""

import click

_EXAMPLES = """\
\b
Examples:
  recording-worker demo
  recording-worker demo --speed 60
  recording-worker demo --json | jq 'select(.kind == "file")'
  recording-worker demo --keep

Exit codes: 0 if all files are as promised, 1 if not (with the reasons), 130 after Ctrl-C.
"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--speed",
    default=8.0,
    show_default=True,
    type=click.FloatRange(0.5, 100),
    help="Seconds of the emulated API's time in a real second.",
)
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C, to try it out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line for each entry.")
def demo(speed: float, keep: bool, as_json: bool) -> None:
    """Watch a meeting being recorded, on this machine alone.

    The demo starts RabbitMQ, an emulated recording API and a worker. (If AMQP_URL is set, it uses
    that broker, under names of its own.) Three people meet: Ana stays, Ben leaves and comes back,
    and Cleo is not to be recorded. The recording is started, paused, resumed and stopped. The demo
    downloads the files, checks who owns them, and stops everything.
    """
    # Imported here because `recording-worker --help` loads this module, which must be quick.
    from recording_sandbox.demo.runner import DemoFailed, DemoOptions, run_demo

    try:
        run_demo(DemoOptions(speed=speed, keep=keep, as_json=as_json))
    except DemoFailed as error:
        raise click.ClickException(str(error)) from error
