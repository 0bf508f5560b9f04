"""`recording-worker demo`: argv to a function call."""

import click

_EXAMPLES = """\
\b
Examples:
  recording-worker demo
  recording-worker demo --speed 60
  recording-worker demo --json | jq 'select(.kind == "file")'
  recording-worker demo --keep

Exit codes: 0 when everything was as promised, 1 when not (it says what), 130 after Ctrl-C.
"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--speed",
    default=8.0,
    show_default=True,
    type=click.FloatRange(0.5, 100),
    help="Seconds of the emulated API's time in a second.",
)
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C, to play with.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line for each happening.")
def demo(speed: float, keep: bool, as_json: bool) -> None:
    """Watch a meeting being recorded, on this machine alone.

    Starts a RabbitMQ of its own (or uses the one that AMQP_URL names, under names of its own), an
    emulated recording API and a worker; lets three people meet, of whom one leaves and comes back
    and one is not to be recorded; starts, pauses, resumes and stops the recording; downloads the
    files and checks whose they are. Everything is stopped at the end.
    """
    # Late, because `recording-worker --help` loads this file also where only the worker's own
    # dependencies are installed.
    from sandbox.demo.runner import DemoFailed, DemoOptions, run_demo

    try:
        run_demo(DemoOptions(speed=speed, keep=keep, as_json=as_json))
    except DemoFailed as error:
        raise click.ClickException(str(error)) from error
