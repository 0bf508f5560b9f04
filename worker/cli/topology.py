"""`recording-worker topology`."""

import asyncio
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import common_settings, topology_from
from worker.cli.output import json_option, print_rows

if TYPE_CHECKING:
    from worker.broker.admin.topology_check import CheckResult
    from worker.settings.settings import CommonSettings

EXAMPLES = """\
\b
Examples:
  recording-worker topology show
  recording-worker topology declare
  WORKER_NAME_PREFIX=staging recording-worker topology check || echo "not ready"

AMQP_URL names the broker, WORKER_NAME_PREFIX and WORKER_RETRY_DELAYS_SECONDS make the names.
"""
CHECK_EPILOG = """\
\b
Examples:
  recording-worker topology check
  recording-worker topology check --json | jq -r 'select(.state != "ok") | .name'

The check changes nothing. It reports missing exchanges and queues, exchanges of another kind, and
queues with other arguments. AMQP shows no bindings and no policies: `declare` adds missing
bindings, and `rabbitmqctl list_bindings` lists the existing ones. The state "no permission"
(no_permission in JSON) means that the user may not declare, so that nothing could be compared.

\b
Exit codes: 0 all is there as needed, 1 something is missing or differs, or no broker answers.
"""
CHECKED: Final = {
    "name": "name",
    "kind": "kind",
    "state": "state",
    "messages": "messages",
    "consumers": "consumers",
    "detail": "detail",
}


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Exchanges and queues: what is needed, and what the broker has."""


@command.command(
    epilog="\b\nExamples:\n  recording-worker topology show\n"
    "  recording-worker topology show --json | jq -r 'select(.kind == \"queue\") | .name'\n"
)
@json_option
def show(as_json: bool) -> None:
    """Show what is needed. No broker is asked."""
    topology = topology_from(common_settings())
    rows: list[dict[str, object]] = [
        {"kind": "exchange", "name": name, "type": kind.value}
        for name, kind in topology.exchanges.items()
    ]
    rows += [
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
    if not as_json:
        rows = [{**_NO_QUEUE, **row, "arguments": _in_words(row.get("arguments"))} for row in rows]
    print_rows(
        {
            "kind": "kind",
            "name": "name",
            "type": "type",
            "bound to": "bound_to",
            "key": "binding",
            "arguments": "arguments",
        },
        rows,
        as_json=as_json,
    )


_NO_QUEUE: Final = {"bound_to": None, "binding": None}


def _in_words(arguments: object) -> str | None:
    if not isinstance(arguments, dict):
        return None
    return " ".join(
        f"{name.removeprefix('x-')}={value!r}"
        if value == ""
        else f"{name.removeprefix('x-')}={value}"
        for name, value in arguments.items()
        if name != "x-queue-type"
    )


@command.command(epilog="\b\nExample:\n  recording-worker topology declare\n")
def declare() -> None:
    """Create what is missing on the broker.

    What exists with other properties is left alone and named, with exit code 1.
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
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Compare what the broker has with what is needed."""
    import msgspec

    found = asyncio.run(_check(common_settings()))
    rows = [msgspec.structs.asdict(finding) for finding in found]
    if not as_json:
        rows = [{**row, "state": row["state"].replace("_", " ")} for row in rows]
    print_rows(CHECKED, rows, as_json=as_json)
    wrong = [one.name for one in found if one.state in {"missing", "differs"}]
    if wrong:
        click.echo(
            f"Error: missing or different: {', '.join(wrong)}. `recording-worker topology declare` "
            "creates what is missing; what differs must be removed first, or avoided with "
            "another WORKER_NAME_PREFIX",
            err=True,
        )
        context.exit(1)


async def _check(settings: "CommonSettings") -> "list[CheckResult]":
    from worker.broker.admin.one_shot import connect
    from worker.broker.admin.topology_check import check_topology

    async with connect(settings.amqp_url.reveal(), "topology") as connection:
        return await check_topology(connection, topology_from(settings))
