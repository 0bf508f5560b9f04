"""`recording-worker recordings`."""

from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import common_settings
from worker.cli.output import json_option, print_rows

if TYPE_CHECKING:
    from worker.domain.recording import Recording

STATUSES: Final = ("INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED", "ERRORED")

COLUMNS: Final = {
    "recording": "recording_id",
    "app": "app",
    "kind": "kind",
    "status": "status",
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
"""Members of a JSON line, named as in the events; `completed` is true once all files are out."""

EXAMPLES = """\
\b
Examples:
  recording-worker recordings
  recording-worker recordings --status RECORDING --limit 10
  recording-worker recordings --app eu --status PAUSED
  recording-worker recordings --start-id "$START" --json | jq -r .recording_id

It reads the database of DATABASE_URL, and changes nothing there: workers may run meanwhile.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--status", type=click.Choice(STATUSES, case_sensitive=False), help="Only those of this status."
)
@click.option("--app", help="Only this app's.")
@click.option("--meeting-id", help="Only this meeting's.")
@click.option("--recording-id", help="Only this one.")
@click.option("--start-id", help="Only the one that the start command with this id began.")
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="At most so many, the most recently changed ones.",
)
@json_option
def command(
    status: str | None,
    app: str | None,
    meeting_id: str | None,
    recording_id: str | None,
    start_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what the workers know of recordings."""
    from recording_schemas import Status
    from worker.store.admin.read_only import read_recordings
    from worker.store.queries import RecordingsFilter

    settings = common_settings()
    found = read_recordings(
        settings.database_url.reveal(),
        RecordingsFilter(
            limit=limit,
            status=Status(status) if status else None,
            app=app,
            meeting_id=meeting_id,
            recording_id=recording_id,
            start_id=start_id,
        ),
    )
    if as_json:
        print_rows({}, [_members(one) for one in found], as_json=True)
    else:
        print_rows(COLUMNS, [_for_people(one) for one in found], as_json=False)
    if len(found) == limit:
        click.echo(f"Perhaps there are more: --limit is {limit}", err=True)


def _members(one: "Recording") -> dict[str, object]:
    return {name: getattr(one, name) for name in JSON_FIELDS}


def _for_people(one: "Recording") -> dict[str, object]:
    changed = one.changed_at.astimezone() if one.changed_at else None
    return {
        **_members(one),
        "changed": changed.strftime("%Y-%m-%d %H:%M:%S") if changed else None,
        "error_code": one.error.code if one.error else None,
    }
