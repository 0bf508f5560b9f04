"""`recording-worker store`."""

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

Where one end is left out, DATABASE_URL or DATABASE_URL_FILE names it. A URL with a password is only
taken from a file or the environment: others on the machine can read a command line.

\b
No worker may run on either database meanwhile. The target must be empty, or equal already: then
nothing is done, so that the command may be repeated. All is copied and compared in one transaction.
The source stays as it was: see to it that no worker is started on it again.

\b
Exit codes: 0 all is in the target, 1 it could not be copied, and the target is as it was, 2 wrong
flags.
"""
COLUMNS: Final = {"table": "table", "rows": "rows", "checksum": "checksum"}


def _end(name: str, what: str) -> Callable[[Decorated], Decorated]:
    """Adds `--name URL` and `--name-file PATH`."""

    def add(command: Decorated) -> Decorated:
        url = click.option(
            f"--{name}", f"{what}_url", metavar="URL", help=f"The {what}, a URL without password."
        )
        file = click.option(
            f"--{name}-file",
            f"{what}_file",
            metavar="PATH",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"A file that holds the {what}'s URL.",
        )
        return url(file(command))

    return add


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Care for the database that holds the state."""


@command.command(epilog=COPY_EPILOG)
@_end("from", "source")
@_end("to", "target")
@json_option
def copy(
    source_url: str | None,
    source_file: Path | None,
    target_url: str | None,
    target_file: Path | None,
    as_json: bool,
) -> None:
    """Copy all that is kept into another database, of either engine."""
    from worker.domain.errors import StoreUnavailable
    from worker.store.admin.copy import copy_store

    source = _url("--from", source_url, source_file)
    target = _url("--to", target_url, target_file)
    if source is None and target is None:
        raise click.UsageError("--from, --to, or the file of one of them must be given")
    try:
        done = copy_store(source or _settings_url(), target or _settings_url(), _told)
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from error
    _print(done, as_json=as_json)


def _url(flag: str, url: str | None, file: Path | None) -> str | None:
    from worker.settings.parsing import database_url
    from worker.settings.secret import read_text

    if url is not None and file is not None:
        raise click.UsageError(f"{flag} and {flag}-file exclude each other")
    try:
        if file is not None:
            return database_url(read_text(file))
        if url is None:
            return None
        checked = database_url(url)
    except ValueError as wrong:
        hint = flag if file is None else f"{flag}-file"
        raise click.BadParameter(str(wrong), param_hint=hint) from None
    if _tells_a_password(checked):
        raise click.BadParameter(
            f"has a password, which others on this machine could read: use {flag}-file",
            param_hint=flag,
        )
    return checked


def _tells_a_password(url: str) -> bool:
    parts = urlsplit(url)
    return parts.password is not None or "password" in parts.query.lower()


def _settings_url() -> str:
    """What the workers use. Its default is no database that anybody has chosen."""
    from worker.cli.context import common_settings

    if not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")):
        raise click.UsageError("DATABASE_URL or DATABASE_URL_FILE must name the other database")
    return common_settings().database_url.reveal()


def _told(table: str, rows: int) -> None:
    """On a terminal a line that counts."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{table}: {rows}", err=True, nl=False)


def _print(done: "CopyResult", *, as_json: bool) -> None:
    import msgspec

    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    print_rows(COLUMNS, [msgspec.structs.asdict(one) for one in done.tables], as_json=as_json)
    click.echo(
        "Copied and compared." if done.fresh else "It was there already; nothing was changed.",
        err=True,
    )
