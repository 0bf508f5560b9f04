"""`recording-worker recordings`: lists the recordings in the database, or shows one."""

from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from recording_schemas import Status
from worker.cli.context import common_settings
from worker.cli.database import read_state
from worker.cli.groups import SuggestingGroup
from worker.cli.ids import complete, ids_that_begin, only_id_that_begins
from worker.cli.output import (
    Column,
    Row,
    details_options,
    limit_option,
    print_object,
    print_rows,
    table_options,
)
from worker.cli.suggestions import Choice
from worker.cli.text import utf8
from worker.cli.times import duration

if TYPE_CHECKING:
    from worker.domain.recording import Recording
    from worker.settings.settings import CommonSettings
    from worker.store.admin.short_ids import IdKind

STATUSES: Final = tuple(map(str, Status))

COLUMNS: Final = (
    Column("recording", "recording_id", "id"),
    Column("app", "app"),
    Column("kind", "kind", "name", spare=True),
    Column("status", "shown_status", "name"),
    Column("meeting", "meeting_id", "id"),
    Column("start", "start_id", "id"),
    Column("seconds", "recording_duration", "name", spare=True),
    Column("changed", "changed_at", "time"),
    Column("error", "error_code", "name"),
)
JSON_FIELDS: Final = (
    "recording_id",
    "app",
    "kind",
    "status",
    "unknown_status",
    "meeting_id",
    "session_id",
    "start_id",
    "invoked_time",
    "started_time",
    "stopped_time",
    "recording_duration",
    "output_file_name",
    "start_reason",
    "stop_reason",
    "error",
    "completed",
    "changed_at",
)
"""Named as in the events. `unknown_status` is the API's status if it is undocumented, and
`status` is then the last documented one. `completed` is true when all file events are published."""

EXAMPLES = """\
\b
Examples:
  recording-worker recordings
  recording-worker recordings --status RECORDING --limit 10
  recording-worker recordings --app eu --status PAUSED
  recording-worker recordings --sort unchanged --status UPLOADING --older-than 30m
  recording-worker recordings --sort age --limit 5
  recording-worker recordings --start-id "$START" --json | jq -r .recording_id
  recording-worker recordings show "$RECORDING"

The command reads the database of DATABASE_URL and changes nothing. Workers may run meanwhile. A
DURATION is a number with a unit: 90s, 15m, 2h or 7d. A terminal shows short ids. Every command
accepts them in place of whole ones.
"""
SHOW_EXAMPLES = """\
\b
Examples:
  recording-worker recordings show "$RECORDING"
  recording-worker recordings show "$START"
  recording-worker recordings show "$RECORDING" --json | jq '.events[] | select(.state != "sent")'

ID is the id of a recording, or of its start command. Events are kept for WORKER_KEEP_SENT_SECONDS
after they were sent. Download URLs are not shown: `send replay_recording` publishes the known URLs
again, and `send sync_recording` publishes new ones. The command reads the database of
DATABASE_URL and changes nothing.
"""
_ID_FLAGS: "Final[dict[str, IdKind]]" = {
    "--recording-id": "recording",
    "--start-id": "start",
    "--meeting-id": "meeting",
}
SORTS: Final = ("changed", "unchanged", "age")


@click.group(cls=SuggestingGroup, epilog=EXAMPLES, invoke_without_command=True)
@click.option(
    "--status",
    type=Choice(STATUSES, case_sensitive=False),
    help="Only recordings with this status.",
)
@click.option("--app", callback=utf8, help="Only recordings of this app.")
@click.option("--meeting-id", callback=utf8, help="Only recordings of this meeting.")
@click.option("--recording-id", callback=utf8, help="Only this recording.")
@click.option(
    "--start-id",
    callback=utf8,
    help="Only the recording of the start command with this id.",
)
@limit_option()
@click.option(
    "--sort",
    default="changed",
    show_default=True,
    type=Choice(SORTS),
    help="changed: the latest change first. unchanged: the earliest change first. age: the oldest "
    "first, without completed ones.",
)
@click.option(
    "--older-than",
    metavar="DURATION",
    callback=duration(),
    help="Only recordings that last changed longer ago. With --sort age: first observed "
    "longer ago.",
)
@click.option(
    "--newer-than",
    metavar="DURATION",
    callback=duration(),
    help="Only recordings that changed more recently. With --sort age: first observed "
    "more recently.",
)
@table_options
def command(
    limit: int,
    status: str | None,
    as_json: bool,
    older_than: float | None,
    newer_than: float | None,
    **filters: Any,  # noqa: ANN401
) -> None:
    """List the recordings in the database, or show one."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        _refuse_flags(context)
        return
    import time

    from worker.store.queries import RecordingsFilter, find_recordings

    settings = common_settings()
    for flag, kind in _ID_FLAGS.items():
        name = f"{kind}_id"
        filters[name] = complete(settings, flag, filters[name], kind)
    recordings = read_state(
        settings,
        find_recordings,
        RecordingsFilter(
            limit=limit,
            status=Status(status) if status else None,
            before=None if older_than is None else time.time() - older_than,
            after=None if newer_than is None else time.time() - newer_than,
            **filters,
        ),
    )
    if as_json:
        print_rows((), [_json_row(recording) for recording in recordings], as_json=True)
    else:
        rows = [_table_row(recording) for recording in recordings]
        print_rows(COLUMNS, rows, as_json=False, nothing="No recording matches.")
    if not recordings:
        _print_ids_that_begin(settings, filters)
    if len(recordings) == limit:
        click.echo(f"There may be more: --limit is {limit}", err=True)


def _print_ids_that_begin(settings: "CommonSettings", filters: dict[str, Any]) -> None:
    """For each given id that is incomplete, print the ids that begin with it."""
    for flag, kind in _ID_FLAGS.items():
        text = filters[f"{kind}_id"]
        if known := ids_that_begin(settings, text, kind):
            click.echo(f"No recording with {flag} {text}{known}", err=True)


def _refuse_flags(context: click.Context) -> None:
    """Refuse a flag of the list before a subcommand, which would not use it."""
    for parameter in context.command.params:
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
            flag, name = parameter.opts[0], context.invoked_subcommand
            raise click.UsageError(f"{flag} before `{name}` has no effect: `{name} --help`")


@command.command(epilog=SHOW_EXAMPLES, short_help="Show one recording in detail.")
@click.argument("wanted_id", metavar="ID", callback=utf8)
@click.option(
    "--max-events",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Show at most this many events, oldest first.",
)
@details_options
def show(wanted_id: str, max_events: int, as_json: bool) -> None:
    """Show everything that is known of a recording: its start, timeline, files and events."""
    from worker.cli.outcomes import command_json
    from worker.cli.recording_details import details_json, print_command, print_details
    from worker.store.admin.recording_details import find_details

    settings = common_settings()
    whole_id = _whole_id(settings, wanted_id, as_json=as_json)
    found = read_state(settings, find_details, whole_id, max_events=max_events)
    for details in found.recordings:
        if as_json:
            print_object(details_json(details))
        else:
            print_details(details)
        if details.has_more_events:
            click.echo(f"There are more events: --max-events is {max_events}", err=True)
    if found.recordings:
        return
    if found.start is None:
        known = ids_that_begin(settings, wanted_id, "recording", "start") or ids_that_begin(
            settings, wanted_id, "command"
        )
        raise click.ClickException(
            f"no recording and no start command has the id {wanted_id}{known}"
        )
    if as_json:
        print_object({"recording_id": None, "start_command": command_json(found.start)})
    else:
        print_command(found.start)
    click.echo("No recording of this command is known.", err=True)


def _whole_id(settings: "CommonSettings", text: str, *, as_json: bool) -> str:
    """The id of a recording or of its start, else of a command, that `text` means."""
    for kinds in (("recording", "start"), ("command",)):
        if (whole_id := complete(settings, "ID", text, *kinds)) != text:
            return str(whole_id)
    return text if as_json else only_id_that_begins(settings, text, "recording", "start", "command")


def _json_row(recording: "Recording") -> Row:
    return {name: getattr(recording, name) for name in JSON_FIELDS}


def _table_row(recording: "Recording") -> Row:
    unknown = recording.unknown_status
    return {
        **_json_row(recording),
        "shown_status": recording.status + (f", API: {unknown}" if unknown else ""),
        "error_code": recording.error.code if recording.error else None,
    }
