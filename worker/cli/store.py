"""`recording-worker store`: maintenance of the database that holds the state."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import click

from worker.cli.output import json_option, print_rows

if TYPE_CHECKING:
    from worker.store.admin.copy import CopyResult

Decorated = TypeVar("Decorated", bound=Callable[..., object])

EXAMPLES = """\
\b
Example:
  recording-worker store copy --from sqlite:////var/lib/recording-worker/state.db
"""
COPY_EPILOG = """\
\b
Examples:
  DATABASE_URL_FILE=/run/secrets/database-url \\
    recording-worker store copy --from sqlite:////var/lib/recording-worker/state.db
  recording-worker store copy --from-file old-url.txt --to-file new-url.txt
  recording-worker store copy --from-file postgresql-url.txt --to sqlite:///state.db

Without --from or --to, DATABASE_URL or DATABASE_URL_FILE names that database. A URL with a password
must come from a file or the environment, because others on the machine can read a command line.

\b
Stop all workers on both databases first. The target must be empty, or already equal to the source.
In that case nothing is changed, so that the command can be repeated. Everything is copied and
compared in one transaction. The source is not changed: do not start a worker on it again.

\b
Exit codes: 0 the target has everything, 1 the copy failed and the target is unchanged, 2 wrong
flags.
"""
COLUMNS: Final = {"table": "table", "rows": "rows", "checksum": "checksum"}
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


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Maintain the database that holds the state."""


@command.command(epilog=COPY_EPILOG)
@_database_options("from", "source")
@_database_options("to", "target")
@json_option
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
    parts = urlsplit(url)
    return parts.password is not None or "password" in parts.query.lower()


def _url_from_env() -> str:
    """The database of the workers. The default of DATABASE_URL is not used: nobody chose it."""
    from worker.cli.context import common_settings

    if not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")):
        raise click.UsageError("set DATABASE_URL or DATABASE_URL_FILE to name the other database")
    return common_settings().database_url.reveal()


def _print_progress(table: str, rows: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"{_CLEAR_LINE}{table}: {rows}", err=True, nl=False)


def _print(result: "CopyResult", *, as_json: bool) -> None:
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
