"""The subcommands of `recording-worker archive`."""

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final

import click

from worker.cli.context import common_settings, silence_libraries
from worker.cli.database import read_state
from worker.cli.ids import complete, complete_if_readable, ids_that_begin
from worker.cli.output import (
    Column,
    json_option,
    limit_option,
    print_json,
    print_rows,
    table_options,
)
from worker.cli.suggestions import Choice
from worker.cli.text import utf8
from worker.cli.times import time_or_age

if TYPE_CHECKING:
    from worker.archive.storage import ArchiveStorage
    from worker.settings.archive_reader import ArchiveReaderSettings

RETRIED: Final = (Column("recording", "recording_id", "id"), Column("app", "app"))
STATES: Final = ("queued", "failed", "archived", "external")

EXAMPLES = """\
\b
Examples:
  recording-worker archive list --state queued
  recording-worker archive retry --failed
  recording-worker archive verify --since 24h

The archive is on if WORKER_ARCHIVE_URL is set on the workers. They then copy every finished file
to that storage.
"""
LIST_EPILOG = """\
\b
Examples:
  recording-worker archive list
  recording-worker archive list --state failed --app eu
  recording-worker archive list --recording-id "$RECORDING" --json | jq -r .archive_url

The most urgent files come first: those that wait, by the expiry of their URLs, then those that
failed. "why" says why a file waits or failed. A row without a file is a manifest that must be
written. The command reads the database of DATABASE_URL and changes nothing.

\b
States: queued, the file is to be copied; failed, no URL of it works any more, or it may not be
copied; archived; external, it is in your own storage already.
"""
RETRY_EPILOG = """\
\b
Examples:
  recording-worker archive retry "$RECORDING"
  recording-worker archive retry --failed --dry-run
  recording-worker archive list --state failed --json | jq -r .recording_id | sort -u \\
    | xargs recording-worker archive retry

The command sends `archive_recording` for each recording. The workers read the recording again and
copy all its files again. With --failed, the recordings are those in the database of DATABASE_URL
with a failed file.
"""
VERIFY_EPILOG = """\
\b
Examples:
  recording-worker archive verify
  recording-worker archive verify "$RECORDING"
  recording-worker archive verify --since 24h --json | jq 'select(.result != "ok")'
  recording-worker archive verify --archive-url s3://earlier-bucket/recordings

The command reads each archived file back from WORKER_ARCHIVE_URL, and compares its size and its
SHA-256 with the database of DATABASE_URL. Then it checks the manifest of the recording. It needs
the credentials that the workers have, and changes nothing. TIME is an RFC 3339 time, or a duration
before now, such as 90s, 15m, 2h or 7d.

\b
Results: ok; missing, there is no such object; differs, its size or content is another; refused, the
storage does not let it be read; unreadable, the storage failed; elsewhere, it is not below
WORKER_ARCHIVE_URL, which was another one when the file was archived.

\b
Objects elsewhere are not read. The command counts them by their place, and shows how to verify
them. --archive-url reads another place, and leaves out what is not below it.

\b
Exit codes: 0 all ok, 1 some not or, without --archive-url, elsewhere; 2 wrong flags or settings.
"""


def _parse_archive_url(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> str | None:
    from worker.settings.archive import archive_url

    try:
        return None if text is None else archive_url(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Show the files in the archive, copy them again, or compare them."""


@command.command("list", epilog=LIST_EPILOG)
@click.option("--state", type=Choice(STATES), help="Only files in this state.")
@click.option("--app", callback=utf8, help="Only files of this app.")
@click.option("--recording-id", callback=utf8, help="Only files of this recording.")
@limit_option()
@table_options
def list_(limit: int, as_json: bool, **filters: Any) -> None:  # noqa: ANN401
    """List the files: which are archived, and why others are not."""
    from worker.cli.archive.entries import COLUMNS, entry_json, entry_row
    from worker.store.admin.archived_files import EntriesFilter, find_entries

    settings = common_settings()
    recording_id = complete(settings, "--recording-id", filters["recording_id"], "recording")
    condition = EntriesFilter(limit=limit, **{**filters, "recording_id": recording_id})
    entries = read_state(settings, find_entries, condition)
    now = time.time()
    to_row = entry_json if as_json else entry_row
    rows = [to_row(entry, now) for entry in entries]
    print_rows(COLUMNS, rows, as_json=as_json, nothing="The archive has no such file.")
    known = "" if entries else ids_that_begin(settings, recording_id, "recording")
    if known:
        click.echo(f"No file of a recording {recording_id}{known}", err=True)
    if len(entries) == limit:
        click.echo(f"There may be more: --limit is {limit}", err=True)


@command.command(epilog=RETRY_EPILOG)
@click.argument("recording_ids", metavar="[RECORDING]...", nargs=-1)
@click.option("--failed", is_flag=True, help="Every recording with a failed file.")
@click.option("--app", callback=utf8, help="The app of the recordings.")
@click.option("--dry-run", is_flag=True, help="Show the recordings, and send nothing.")
@table_options
def retry(
    recording_ids: tuple[str, ...], failed: bool, app: str | None, dry_run: bool, as_json: bool
) -> None:
    """Have all files of recordings copied again."""
    from worker.cli.archive.retrying import build_commands, send_all
    from worker.store.admin.archived_files import find_failed_recordings

    if failed == bool(recording_ids):
        raise click.UsageError("give the ids of recordings, or --failed")
    settings = common_settings()
    recordings: list[tuple[str, str | None]] = [
        (complete_if_readable(settings, "RECORDING", recording_id, "recording") or "", app)
        for recording_id in dict.fromkeys(recording_ids)
    ]
    if failed:
        recordings += read_state(settings, find_failed_recordings, app)
    commands = build_commands(recordings)
    if dry_run:
        rows = [{"recording_id": command.recording_id, "app": command.app} for command in commands]
        print_rows(RETRIED, rows, as_json=as_json)
        return

    async def send() -> None:
        async for row in send_all(settings, commands):
            if as_json:
                print_json(row)
            else:
                click.echo(f"Sent archive_recording {row['command_id']} for {row['recording_id']}")

    if commands:
        asyncio.run(send())
    else:
        click.echo("No recording has a failed file.", err=True)


@command.command(epilog=VERIFY_EPILOG)
@click.argument("recording_ids", metavar="[RECORDING]...", nargs=-1)
@click.option("--app", callback=utf8, help="Only files of this app.")
@click.option(
    "--since",
    metavar="TIME",
    callback=time_or_age,
    help="Only files archived at this time or later.",
)
@click.option(
    "--archive-url",
    metavar="URL",
    callback=_parse_archive_url,
    help="Verify the objects below this URL instead of WORKER_ARCHIVE_URL.",
)
@click.option(
    "--concurrency",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many objects to read at the same time.",
)
@json_option
@click.pass_context
def verify(
    context: click.Context,
    /,
    recording_ids: tuple[str, ...],
    app: str | None,
    since: float | None,
    archive_url: str | None,
    concurrency: int,
    as_json: bool,
) -> None:
    """Read archived files back, and compare their sizes and checksums."""
    from worker.store.admin.stored_copies import CopiesFilter, each_stored

    settings = _archive_settings(archive_url)
    storage = _open_storage(settings, archive_url)
    from worker.cli.archive.verifying import Verifier, print_fault, print_verified, summary

    whole_ids = [complete(settings, "RECORDING", text, "recording") for text in recording_ids]
    condition = CopiesFilter(recording_ids=tuple(map(str, whole_ids)), app=app, since=since)
    stored = each_stored(settings.database_url.reveal(), condition, pooler=settings.database_pooler)
    is_only = archive_url is not None
    verifier = Verifier(storage, print_verified if as_json else print_fault, only_here=is_only)
    totals = verifier.totals
    try:
        asyncio.run(verifier.verify(stored, concurrency=concurrency))
    except KeyboardInterrupt:
        click.echo(f"Interrupted after {summary(totals)}", err=True)
        raise
    click.echo(f"Verified {summary(totals)}", err=True)
    leaves_out = totals.elsewhere.objects > 0 and not is_only
    if leaves_out:
        click.echo("\n".join(totals.elsewhere.lines()), err=True)
    elif recording_ids and not totals.objects:
        known = "".join(ids_that_begin(settings, text, "recording") for text in recording_ids)
        raise click.ClickException(f"no file of these recordings is archived{known}")
    context.exit(1 if totals.faults or leaves_out else 0)


def _archive_settings(instead: str | None) -> "ArchiveReaderSettings":
    from worker.domain.errors import WrongSettings
    from worker.settings.archive_reader import ArchiveReaderSettings

    silence_libraries()
    settings = ArchiveReaderSettings.from_env(os.environ)
    if settings.archive.archive_url is None and instead is None:
        raise WrongSettings(["WORKER_ARCHIVE_URL: is not set; there is no archive to read"])
    return settings


def _open_storage(settings: "ArchiveReaderSettings", instead: str | None) -> "ArchiveStorage":
    from worker.domain.errors import WrongSettings

    try:
        from worker.archive.storage import ArchiveStorage
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"`archive verify` needs {error.name}: pip install 'recording-worker[archive]'"
        ) from error
    try:
        return ArchiveStorage.open(
            instead or settings.archive.archive_url or "",
            request_timeout_seconds=settings.archive.archive_timeout_seconds,
        )
    except ValueError as error:
        name = "--archive-url" if instead else "WORKER_ARCHIVE_URL"
        raise WrongSettings([f"{name}: {error}"]) from error
