"""The command `recording-worker status`."""

import sys
import threading
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import common_settings
from worker.cli.output import json_option, print_json
from worker.cli.times import duration
from worker.cli.worker_url import worker_url_option

if TYPE_CHECKING:
    from worker.cli.status.checks import Health
    from worker.cli.status.sources import Facts

HEALTHY: Final = 0
NOT_HEALTHY: Final = 1
CANNOT_TELL: Final = 2

_NEW_SCREEN: Final = "\x1b[H\x1b[2J"

EXAMPLES = """\
\b
Examples:
  recording-worker status
  recording-worker status --watch
  recording-worker status --json | jq -r '.checks[] | select(.state == "failed") | .name'
  recording-worker status --worker-url http://10.0.0.7:8080
  recording-worker status >/dev/null || echo "not healthy"

The checks are those of /readyz, if a worker answers at HTTP_HOST and HTTP_PORT. Otherwise they are
from the state: the database of DATABASE_URL, and the queues of AMQP_URL. Nothing is changed. A
warning needs a look, but the workers do their work.

\b
Exit codes: 0 healthy, 1 not healthy, 2 cannot tell, or wrong flags or settings. With --watch: 0.
"""


@click.command(epilog=EXAMPLES)
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval",
    default="2s",
    show_default=True,
    callback=duration(least=0.2, most=3_600),
    metavar="DURATION",
    help="The interval of --watch, in seconds or such as 1m.",
)
@worker_url_option
@json_option
@click.pass_context
def command(
    context: click.Context, /, watch: bool, interval: float, worker_url: str | None, as_json: bool
) -> None:
    """Show whether the workers are healthy, and if not, why."""
    from worker.cli.status.checks import judge
    from worker.cli.status.sources import gather_facts

    settings = common_settings()
    try:
        while True:
            facts = gather_facts(settings, worker_url)
            health = judge(facts)
            _print(facts, health, as_json=as_json, watch=watch)
            if not watch:
                break
            threading.Event().wait(interval)
    except KeyboardInterrupt:
        if not watch:
            raise
        return
    context.exit({True: HEALTHY, False: NOT_HEALTHY, None: CANNOT_TELL}[health.is_healthy])


def _print(facts: "Facts", health: "Health", *, as_json: bool, watch: bool) -> None:
    from worker.cli.status.format import status_json, status_lines

    if as_json:
        print_json(status_json(facts, health))
        return
    if watch and sys.stdout.isatty():
        click.echo(_NEW_SCREEN, nl=False)
    click.echo("\n".join(status_lines(facts, health)))
