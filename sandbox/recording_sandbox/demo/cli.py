"""`recording-worker demo`: argv to a function call."""

import click

_EXAMPLES = """\
\b
Examples:
  recording-worker demo
  recording-worker demo --speed 60
  recording-worker demo --json | jq 'select(.kind == "file")'
  recording-worker demo --keep

Exit codes: 0 all files are as expected, 1 some are not (with the reasons), 130 after Ctrl-C.
"""


@click.command(epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
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
    """Record an emulated meeting on this machine.

    The demo starts RabbitMQ, an emulated recording API and a worker. If AMQP_URL is set, it uses
    that broker, with a separate prefix. Three people meet: Ana stays, Ben leaves and returns, and
    Cleo is not recorded. The demo starts, pauses, resumes and stops the recording. It downloads the
    files and checks their owners. The worker archives the files into a folder, and the demo prints
    the manifest of the archive. Then it stops everything.
    """
    # Imported here because `recording-worker --help` loads this module, which must be quick.
    from recording_sandbox.demo.runner import DemoFailed, DemoOptions, run_demo

    try:
        run_demo(DemoOptions(speed=speed, keep=keep, as_json=as_json))
    except DemoFailed as error:
        raise click.ClickException(str(error)) from error
