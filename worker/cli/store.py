"""`recording-worker store`: maintenance of the database that holds the state."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from worker.cli.database import read_state
from worker.cli.groups import SuggestingGroup
from worker.cli.ids import complete_among
from worker.cli.output import MAX_LIMIT, Column, Decorated, limit_option, print_rows, table_options
from worker.domain.hosts import split_hosts_url
from worker.domain.short_ids import beginning

if TYPE_CHECKING:
    from worker.settings.settings import CommonSettings
    from worker.store.admin.copy import CopiedStore

EXAMPLES = """\
\b
Examples:
  recording-worker store copy --from sqlite:////var/lib/recording-worker/state.db
  recording-worker store set-aside
"""
COPY_EPILOG = """\
\b
Examples:
  DATABASE_URL_FILE=/run/secrets/database-url \\
    recording-worker store copy --from sqlite:////var/lib/recording-worker/state.db
  recording-worker store copy --from-file old-url.txt --to-file new-url.txt
  recording-worker store copy --from-file postgresql-url.txt --to sqlite:///state.db

If --from or --to is missing, DATABASE_URL or DATABASE_URL_FILE names that database. A URL with a
password must come from a file or the environment, because other users of the machine can read
command lines.

\b
Stop all workers on both databases first. The target must be empty. If it is already equal to the
source, nothing is changed, so the command can be repeated. Everything is copied and compared in one
transaction. The source is not changed: do not start a worker on it again.

\b
Exit codes: 0 copied, 1 failed and the target is unchanged, 2 wrong flags.
"""
SET_ASIDE_EPILOG = """\
\b
Examples:
  recording-worker store set-aside
  recording-worker store set-aside --json | jq -r .last_error

The worker sets an event aside if RabbitMQ closed the channel or the connection because of it three
times, or if no AMQP frame can hold it. Later events of its recording are published. The command
reads the database of DATABASE_URL and changes nothing. Workers may run meanwhile.
"""
PUBLISH_AGAIN_EPILOG = """\
\b
Examples:
  recording-worker store publish-again 5b0c7a1e-6f0e-5d3c-9f56-0f6f0f3f6d7b
  recording-worker store publish-again --all

First remove the cause that `store set-aside` shows. The leading worker publishes the events within
a second. Workers may run meanwhile.
"""
SET_ASIDE_COLUMNS: Final = (
    Column("event", "event_id", "id"),
    Column("type", "event_type", "type"),
    Column("subject", "subject", "id"),
    Column("exchange", "exchange"),
    Column("routing key", "routing_key"),
    Column("tries", "tries"),
    Column("bytes", "bytes"),
    Column("reason", "last_error"),
)
COLUMNS: Final = (
    Column("table", "table"),
    Column("rows", "rows"),
    Column("checksum", "checksum"),
)
_CLEAR_LINE: Final = "\r\x1b[K"


def _database_options(name: str, role: str) -> Callable[[Decorated], Decorated]:
    """Add `--name URL` and `--name-file PATH`."""

    def add(command: Decorated) -> Decorated:
        url = click.option(
            f"--{name}", f"{role}_url", metavar="URL", help=f"URL of the {role}, without password."
        )
        file = click.option(
            f"--{name}-file",
            f"{role}_file",
            metavar="PATH",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"A file that holds the URL of the {role}.",
        )
        return url(file(command))

    return add


@click.group(cls=SuggestingGroup, epilog=EXAMPLES)
def command() -> None:
    """Maintain the database that holds the state."""


@command.command(epilog=COPY_EPILOG)
@_database_options("from", "source")
@_database_options("to", "target")
@table_options
def copy(
    source_url: str | None,
    source_file: Path | None,
    target_url: str | None,
    target_file: Path | None,
    as_json: bool,
) -> None:
    """Copy the whole state to another database, between SQLite and PostgreSQL or within one."""
    from worker.cli.context import common_settings
    from worker.domain.errors import StoreUnavailable
    from worker.store.admin.copy import copy_store

    source = _url_from_flags("--from", source_url, source_file)
    target = _url_from_flags("--to", target_url, target_file)
    if source is None and target is None:
        raise click.UsageError("give --from or --to, or a file with the URL of one of them")
    try:
        result = copy_store(
            source or _url_from_env(),
            target or _url_from_env(),
            _print_progress,
            pooler=common_settings().database_pooler,
        )
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    _print(result, as_json=as_json)


@command.command("set-aside", epilog=SET_ASIDE_EPILOG)
@limit_option("Show at most this many, oldest first.")
@table_options
def set_aside(limit: int, as_json: bool) -> None:
    """List the events that the worker gave up publishing, with the reasons."""
    import msgspec

    from worker.cli.context import common_settings
    from worker.store.outbox_marks import set_aside_events

    events = read_state(common_settings(), set_aside_events, limit)
    rows = [msgspec.structs.asdict(event) for event in events]
    print_rows(SET_ASIDE_COLUMNS, rows, as_json=as_json, nothing="No event is set aside.")


@command.command("publish-again", epilog=PUBLISH_AGAIN_EPILOG)
@click.argument("event_ids", nargs=-1, metavar="[EVENT_ID]...")
@click.option("--all", "take_all", is_flag=True, help="Select all events that are set aside.")
def publish_again(event_ids: tuple[str, ...], take_all: bool) -> None:
    """Publish events again that were set aside."""
    from worker.cli.context import common_settings
    from worker.store.admin import set_aside as admin

    if take_all == bool(event_ids):
        raise click.UsageError("give the ids of events, or --all")
    settings = common_settings()
    count = admin.publish_again(
        settings.database_url.reveal(),
        None if take_all else _whole_event_ids(settings, event_ids),
        pooler=settings.database_pooler,
    )
    click.echo(f"{count} to be published again", err=True)
    if not count and not take_all:
        raise click.ClickException("no event with such an id is set aside")


def _whole_event_ids(settings: "CommonSettings", event_ids: Sequence[str]) -> list[str]:
    from worker.store.outbox_marks import set_aside_events

    if all(beginning(event_id) is None for event_id in event_ids):
        return list(event_ids)
    known = {event.event_id for event in read_state(settings, set_aside_events, MAX_LIMIT)}
    return [complete_among("EVENT_ID", event_id, known) for event_id in event_ids]


def _url_from_flags(flag: str, url: str | None, file: Path | None) -> str | None:
    from worker.settings.database_url import database_url
    from worker.settings.secret import read_text

    if url is not None and file is not None:
        raise click.UsageError(f"give {flag} or {flag}-file, not both")
    try:
        if file is not None:
            return database_url(read_text(file))
        if url is None:
            return None
        checked_url = database_url(url)
    except ValueError as error:
        hint = flag if file is None else f"{flag}-file"
        raise click.BadParameter(str(error), param_hint=hint) from None
    if _has_password(checked_url):
        raise click.BadParameter(
            f"has a password, which others on this machine could read: use {flag}-file",
            param_hint=flag,
        )
    return checked_url


def _has_password(url: str) -> bool:
    parts = split_hosts_url(url)
    if parts is None:
        return False
    return parts.password is not None or "password" in parts.query.lower()


def _url_from_env() -> str:
    """The database of the workers. The default of DATABASE_URL is not used, because no one chose
    it."""
    from worker.cli.context import common_settings

    if not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")):
        raise click.UsageError("set DATABASE_URL or DATABASE_URL_FILE to name the other database")
    return common_settings().database_url.reveal()


def _print_progress(table: str, rows: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"{_CLEAR_LINE}{table}: {rows}", err=True, nl=False)


def _print(result: "CopiedStore", *, as_json: bool) -> None:
    import msgspec

    if sys.stderr.isatty():
        click.echo(_CLEAR_LINE, err=True, nl=False)
    print_rows(COLUMNS, [msgspec.structs.asdict(table) for table in result.tables], as_json=as_json)
    click.echo(
        "Copied and compared."
        if result.fresh
        else "The target already had everything; nothing was changed.",
        err=True,
    )
