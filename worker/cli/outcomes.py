"""`recording-worker outcomes`: lists commands that have ended, and how."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from worker.cli.context import common_settings
from worker.cli.database import read_state
from worker.cli.ids import complete, ids_that_begin, only_id_that_begins
from worker.cli.output import Column, Row, limit_option, print_rows, table_options
from worker.cli.suggestions import Choice, suggestion
from worker.cli.text import utf8
from worker.cli.times import iso_time, time_or_age

if TYPE_CHECKING:
    from worker.settings.settings import CommonSettings
    from worker.store.admin.past_commands import PastCommand, PastCommandsFilter

OUTCOMES: Final = ("succeeded", "rejected", "expired", "failed")

COLUMNS: Final = (
    Column("ended", "finished_at", "time"),
    Column("type", "short_type", "name"),
    Column("outcome", "outcome", "name"),
    Column("code", "code", "name"),
    Column("command", "command_id", "id"),
)
SUMMARY_COLUMNS: Final = (
    Column("count", "count"),
    Column("type", "command_type", "type"),
    Column("outcome", "outcome", "name"),
    Column("code", "code", "name"),
    Column("latest", "latest_at", "time"),
    Column("command", "latest_id", "id"),
)
NOTHING: Final = "No command that has ended matches."

EXAMPLES = """\
\b
Examples:
  recording-worker outcomes
  recording-worker outcomes --outcome rejected --outcome failed --since 2h
  recording-worker outcomes --summary --since 2026-01-31
  recording-worker outcomes --code not_found --type stop_recording --limit 10
  recording-worker outcomes --id "$START" --json | jq .data

The command reads the database of DATABASE_URL and changes nothing. Workers may run meanwhile.
Commands are kept for WORKER_KEEP_FINISHED_SECONDS after their end. TIME is an RFC 3339 time, a date
(its beginning on this machine), or a duration before now, such as 90s, 15m, 2h or 7d. In the JSON,
`data` has the message of each error. --summary counts the commands by type, outcome and code, and
shows the last one of each group.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--type",
    "types",
    metavar="TYPE",
    multiple=True,
    help="Only commands of this type; may be repeated.",
)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=Choice(OUTCOMES),
    help="Only commands with this outcome; may be repeated.",
)
@click.option(
    "--code",
    "codes",
    multiple=True,
    callback=lambda context, parameter, texts: [utf8(context, parameter, text) for text in texts],
    help="Only outcomes with this error code, such as not_found; may be repeated.",
)
@click.option(
    "--id", "command_id", metavar="ID", callback=utf8, help="Only the command with this id."
)
@click.option("--app", callback=utf8, help="Only commands for this app.")
@click.option(
    "--since",
    metavar="TIME",
    callback=time_or_age,
    help="Only commands that ended at this time or later.",
)
@click.option(
    "--until",
    metavar="TIME",
    callback=time_or_age,
    help="Only commands that ended at this time or earlier.",
)
@limit_option(
    "Show at most this many, the latest first. With --summary: groups, the largest first."
)
@click.option("--summary", is_flag=True, help="Count the commands by type, outcome and code.")
@table_options
def command(as_json: bool, limit: int, summary: bool, **filters: Any) -> None:  # noqa: ANN401
    """List the commands that have ended, with their outcomes."""
    from worker.store.admin.past_commands import PastCommandsFilter

    _require_known_types(filters["types"])
    settings = common_settings()
    filters["command_id"] = _whole_id(settings, filters["command_id"], as_json=as_json)
    condition = PastCommandsFilter(limit=limit, **filters)
    show = _show_summary if summary else _show_commands
    show(settings, condition, as_json=as_json)


def _whole_id(settings: "CommonSettings", text: str | None, *, as_json: bool) -> str | None:
    whole_id = complete(settings, "--id", text, "command")
    if whole_id is None or whole_id != text or as_json:
        return whole_id
    return only_id_that_begins(settings, whole_id, "command")


def _require_known_types(types: Sequence[str]) -> None:
    from recording_schemas import COMMAND_TYPES

    known = [*COMMAND_TYPES, "unknown"]
    for name in types:
        if name not in known:
            raise click.BadParameter(
                f"there is no {name!r}. {suggestion(name, known)}", param_hint="--type"
            )


def _show_commands(
    settings: "CommonSettings", condition: "PastCommandsFilter", *, as_json: bool
) -> None:
    from worker.store.admin.past_commands import find_past_commands

    found = read_state(settings, find_past_commands, condition)
    if not found.commands and condition.command_id is not None:
        click.echo(
            "No command with this id has ended, or it does not match the other options. "
            "`recordings show ID` also shows a waiting start"
            + ids_that_begin(settings, condition.command_id, "command"),
            err=True,
        )
    to_row = command_json if as_json else _table_row
    rows = [to_row(command) for command in found.commands]
    print_rows(COLUMNS, rows, as_json=as_json, nothing=NOTHING)
    _print_how_to_see_more(found.looked_back_to, len(found.commands), condition.limit)


def _show_summary(
    settings: "CommonSettings", condition: "PastCommandsFilter", *, as_json: bool
) -> None:
    from worker.store.admin.past_commands import summarize_past_commands

    summary = read_state(settings, summarize_past_commands, condition)
    rows = [msgspec.structs.asdict(count) for count in summary.counts]
    if as_json:
        rows = [{**row, "latest_at": iso_time(row["latest_at"])} for row in rows]
    print_rows(SUMMARY_COLUMNS, rows, as_json=as_json, nothing=NOTHING)
    _print_how_to_see_more(summary.looked_back_to, len(rows), condition.limit)


def _print_how_to_see_more(looked_back_to: float | None, count: int, limit: int) -> None:
    if looked_back_to is not None:
        until = iso_time(looked_back_to)
        click.echo(f"Earlier commands were not read. Continue with --until {until}", err=True)
    elif count == limit:
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
        "finished_at": past.finished_at,
        "short_type": past.command_type.removesuffix("_recording"),
    }
