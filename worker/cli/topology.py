"""`recording-worker topology`: shows, declares or checks exchanges and queues."""

import asyncio
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import common_settings, topology_from
from worker.cli.groups import SuggestingGroup
from worker.cli.output import Column, Row, print_rows, table_options

if TYPE_CHECKING:
    from worker.broker.admin.topology_check import CheckResult
    from worker.broker.topology import Topology
    from worker.settings.settings import CommonSettings

EXAMPLES = """\
\b
Examples:
  recording-worker topology show
  recording-worker topology declare
  WORKER_NAME_PREFIX=staging recording-worker topology check || echo "not ready"

AMQP_URL names the broker. The names of exchanges and queues come from WORKER_NAME_PREFIX and
WORKER_RETRY_DELAYS_SECONDS.
"""
SHOW_EPILOG = """\
\b
Examples:
  recording-worker topology show
  recording-worker topology show --json | jq -r 'select(.kind == "queue") | .name'
"""
DECLARE_EPILOG = """\
\b
Example:
  recording-worker topology declare

\b
Exit codes: 0 everything exists, 1 something differs, or the broker does not answer.
"""
CHECK_EPILOG = """\
\b
Examples:
  recording-worker topology check
  recording-worker topology check --json | jq -r 'select(.state != "ok") | .name'

The check changes nothing. It reports missing exchanges and queues, exchanges of another kind, and
queues with other arguments. AMQP shows no bindings and no policies: `declare` adds missing
bindings, and `rabbitmqctl list_bindings` lists the existing ones. The state "no permission"
(no_permission in JSON) means that the user may not declare, so the command could not compare. It
warns of that on stderr.

\b
Exit codes: 0 nothing is missing or known to differ, 1 something is, or the broker does not answer.
"""
SHOW_COLUMNS: Final = (
    Column("kind", "kind"),
    Column("name", "name", "name"),
    Column("type", "type"),
    Column("bound to", "bound_to", "name"),
    Column("key", "binding"),
    Column("arguments", "arguments", wide=True),
)
CHECK_COLUMNS: Final = (
    Column("name", "name", "name"),
    Column("kind", "kind"),
    Column("state", "state"),
    Column("messages", "messages"),
    Column("consumers", "consumers"),
    Column("detail", "detail"),
)


@click.group(cls=SuggestingGroup, epilog=EXAMPLES)
def command() -> None:
    """Show, declare or check the exchanges and queues on the broker."""


@command.command(epilog=SHOW_EPILOG)
@table_options
def show(as_json: bool) -> None:
    """Show the required exchanges and queues.

    The broker is not asked.
    """
    rows = _needed_rows(topology_from(common_settings()))
    if not as_json:
        rows = [_table_row(row) for row in rows]
    print_rows(SHOW_COLUMNS, rows, as_json=as_json)


def _needed_rows(topology: "Topology") -> list[Row]:
    exchanges: list[Row] = [
        {"kind": "exchange", "name": name, "type": kind.value}
        for name, kind in topology.exchanges.items()
    ]
    queues: list[Row] = [
        {
            "kind": "queue",
            "name": queue.name,
            "type": "quorum",
            "bound_to": queue.exchange,
            "binding": queue.binding if queue.exchange else None,
            "arguments": queue.arguments,
        }
        for queue in topology.queues
    ]
    return exchanges + queues


def _table_row(row: Row) -> Row:
    return {"bound_to": None, "binding": None, **row, "arguments": _arguments_text(row)}


def _arguments_text(row: Row) -> str | None:
    if "arguments" not in row:
        return None
    return " ".join(
        f"{name.removeprefix('x-')}={value if value != '' else repr(value)}"
        for name, value in row["arguments"].items()
        if name != "x-queue-type"
    )


@command.command(epilog=DECLARE_EPILOG)
def declare() -> None:
    """Create missing exchanges, queues and bindings on the broker.

    The first exchange or queue with other properties is reported and left as it is.
    """
    settings = common_settings()
    asyncio.run(_declare(settings))
    topology = topology_from(settings)
    click.echo(
        f"In place: {len(topology.exchanges)} exchanges and {len(topology.queues)} queues named "
        f"{settings.name_prefix}.…",
        err=True,
    )


async def _declare(settings: "CommonSettings") -> None:
    from worker.broker.admin.one_shot import connect, declare_once

    async with connect(settings.amqp_url.reveal(), "topology") as connection:
        await declare_once(connection, topology_from(settings))


@command.command(epilog=CHECK_EPILOG)
@table_options
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Compare the broker with what the worker needs."""
    import msgspec

    results = asyncio.run(_check(common_settings()))
    rows = [msgspec.structs.asdict(result) for result in results]
    if not as_json:
        rows = [{**row, "state": row["state"].replace("_", " ")} for row in rows]
    print_rows(CHECK_COLUMNS, rows, as_json=as_json)
    if unchecked := [result.name for result in results if result.state == "no_permission"]:
        click.echo(
            "Warning: not compared, because the user of AMQP_URL may not declare: "
            f"{', '.join(unchecked)}. They exist, but may have other properties. Check with the "
            "worker's user, if that may declare",
            err=True,
        )
    wrong = [result.name for result in results if result.state in {"missing", "differs"}]
    if wrong:
        click.echo(
            f"Error: missing or different: {', '.join(wrong)}. `recording-worker topology declare` "
            "creates missing ones. Remove different ones, or choose another WORKER_NAME_PREFIX",
            err=True,
        )
        context.exit(1)


async def _check(settings: "CommonSettings") -> "list[CheckResult]":
    from worker.broker.admin.one_shot import connect
    from worker.broker.admin.topology_check import check_topology

    async with connect(settings.amqp_url.reveal(), "topology") as connection:
        return await check_topology(connection, topology_from(settings))
