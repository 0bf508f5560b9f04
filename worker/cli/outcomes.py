"""`recording-worker outcomes`: lists commands that have ended, and how."""

from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.context import common_settings
from worker.cli.moments import iso_time, local_time, moment
from worker.cli.output import Row, json_option, print_rows
from worker.cli.text import utf8

if TYPE_CHECKING:
    from worker.store.admin.past_commands import PastCommand

OUTCOMES: Final = ("succeeded", "rejected", "expired", "failed")

COLUMNS: Final = {
    "ended": "ended",
    "type": "short_type",
    "outcome": "outcome",
    "code": "code",
    "command": "command_id",
}

EXAMPLES = """\
\b
Examples:
  recording-worker outcomes
  recording-worker outcomes --outcome rejected --since 2h
  recording-worker outcomes --code not_found --type stop_recording --limit 10
  recording-worker outcomes --id "$START" --json | jq .data

The command reads the database of DATABASE_URL and changes nothing. Workers may run meanwhile.
Commands are kept for WORKER_KEEP_FINISHED_SECONDS after their end. TIME is an RFC 3339 time, or a
duration before now, such as 90s, 15m, 2h or 7d. In the JSON, `data` has the message of each error.
"""


@click.command(epilog=EXAMPLES)
@click.option("--type", "command_type", metavar="TYPE", help="Only commands of this type.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Only commands with this outcome.")
@click.option(
    "--code", callback=utf8, help="Only outcomes with this error code, such as not_found."
)
@click.option(
    "--id", "command_id", metavar="ID", callback=utf8, help="Only the command with this id."
)
@click.option("--app", callback=utf8, help="Only commands for this app.")
@click.option(
    "--since",
    metavar="TIME",
    callback=moment,
    help="Only commands that ended at this time or later.",
)
@click.option(
    "--until",
    metavar="TIME",
    callback=moment,
    help="Only commands that ended at this time or earlier.",
)
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Show at most this many, the latest first.",
)
@json_option
def command(as_json: bool, limit: int, **filters: Any) -> None:  # noqa: ANN401
    """List the commands that have ended, with their outcomes."""
    from recording_schemas import COMMAND_TYPES
    from worker.store.admin.past_commands import PastCommandsFilter, read_past_commands

    wanted = filters["command_type"]
    if wanted is not None and wanted not in {*COMMAND_TYPES, "unknown"}:
        names = ", ".join([*COMMAND_TYPES, "unknown"])
        raise click.BadParameter(f"{wanted!r} is none of: {names}", param_hint="--type")
    settings = common_settings()
    found = read_past_commands(
        settings.database_url.reveal(),
        PastCommandsFilter(limit=limit, **filters),
        pooler=settings.database_pooler,
    )
    if not found.commands and filters["command_id"] is not None:
        click.echo(
            "No command with this id has ended. `recordings show ID` also shows a waiting start.",
            err=True,
        )
    to_row = command_json if as_json else _table_row
    print_rows(COLUMNS, [to_row(one) for one in found.commands], as_json=as_json)
    if found.looked_back_to is not None:
        until = iso_time(found.looked_back_to)
        click.echo(f"Earlier commands were not read. Continue with --until {until}", err=True)
    elif len(found.commands) == limit:
        click.echo(f"There may be more: --limit is {limit}", err=True)


def command_json(past: "PastCommand") -> Row:
    """The fields of one JSON line. `data` are those of the outcome's event."""
    return {
        "command_id": past.command_id,
        "command_type": past.command_type,
        "app": past.app,
        "outcome": past.outcome,
        "code": past.code,
        "attempts": past.attempts,
        "first_seen": iso_time(past.first_seen_at),
        "ended": iso_time(past.finished_at),
        "event_id": past.event_id,
        "data": past.data,
        "last_error": past.last_error,
    }


def _table_row(past: "PastCommand") -> Row:
    return {
        **command_json(past),
        "ended": (local_time(past.finished_at) or "")[5:],
        "short_type": past.command_type.removesuffix("_recording"),
    }
