"""`recording-worker recordings`: lists the recordings in the database."""

from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.context import common_settings
from worker.cli.output import Row, json_option, print_rows

if TYPE_CHECKING:
    from worker.domain.recording import Recording

STATUSES: Final = ("INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED", "ERRORED")

COLUMNS: Final = {
    "recording": "recording_id",
    "app": "app",
    "kind": "kind",
    "status": "shown_status",
    "meeting": "meeting_id",
    "start": "start_id",
    "seconds": "recording_duration",
    "changed": "changed",
    "error": "error_code",
}
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
"""Named as in the events. `unknown_status` is what the API reports if that is not documented, and
`status` is then the last one that is. `completed` is true when all file events are out."""

EXAMPLES = """\
\b
Examples:
  recording-worker recordings
  recording-worker recordings --status RECORDING --limit 10
  recording-worker recordings --app eu --status PAUSED
  recording-worker recordings --start-id "$START" --json | jq -r .recording_id

The command reads the database of DATABASE_URL and changes nothing. Workers may run meanwhile.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--status",
    type=click.Choice(STATUSES, case_sensitive=False),
    help="Only recordings with this status.",
)
@click.option("--app", help="Only recordings of this app.")
@click.option("--meeting-id", help="Only recordings of this meeting.")
@click.option("--recording-id", help="Only this recording.")
@click.option("--start-id", help="Only the recording that the start command with this id began.")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Show at most this many, most recently changed first.",
)
@json_option
def command(limit: int, status: str | None, as_json: bool, **filters: Any) -> None:  # noqa: ANN401
    """List recordings that the workers know."""
    from recording_schemas import Status
    from worker.store.admin.read_only import read_recordings
    from worker.store.queries import RecordingsFilter

    settings = common_settings()
    recordings = read_recordings(
        settings.database_url.reveal(),
        RecordingsFilter(limit=limit, status=Status(status) if status else None, **filters),
        pooler=settings.database_pooler,
    )
    if as_json:
        print_rows({}, [_json_row(recording) for recording in recordings], as_json=True)
    else:
        print_rows(COLUMNS, [_table_row(recording) for recording in recordings], as_json=False)
    if len(recordings) == limit:
        click.echo(f"There may be more: --limit is {limit}", err=True)


def _json_row(recording: "Recording") -> Row:
    return {name: getattr(recording, name) for name in JSON_FIELDS}


def _table_row(recording: "Recording") -> Row:
    changed = recording.changed_at.astimezone() if recording.changed_at else None
    unknown = recording.unknown_status
    return {
        **_json_row(recording),
        "shown_status": recording.status + (f", API: {unknown}" if unknown else ""),
        "changed": changed.strftime("%Y-%m-%d %H:%M:%S") if changed else None,
        "error_code": recording.error.code if recording.error else None,
    }
