"""`recording-worker config`: checks the settings, and lists their defaults."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from worker.cli.groups import SuggestingGroup
from worker.cli.output import Column, Row, print_rows, table_options
from worker.domain.escaping import escape_controls, escape_surrogates

if TYPE_CHECKING:
    from worker.settings.settings import Settings
    from worker.settings.variables import Variable

EXAMPLES = """\
\b
Examples:
  recording-worker config check
  recording-worker config check --json | jq 'select(.source != "default")'
  WORKER_APPS_FILE=apps.json recording-worker config check
  recording-worker config show-defaults
"""
CHECK_EPILOG = """\
\b
Examples:
  recording-worker config check
  recording-worker config check --no-json > settings.txt

\b
Apps of WORKER_APPS_FILE are shown as <app>.<field>, secrets as [secure], URLs without passwords.
The last rows show the proxy for each host, and the trusted certificate authorities.

\b
An OTEL_ variable that cannot be used is no fault: stderr has a warning for it.

\b
Exit codes: 0 all settings are valid, 2 some are not; stderr lists every fault.
"""
DEFAULTS_EPILOG = """\
\b
Example:
  recording-worker config show-defaults --json
"""
CHECK_COLUMNS: Final = (
    Column("variable", "variable", "name"),
    Column("value", "value"),
    Column("source", "source"),
)
DEFAULTS_COLUMNS: Final = (
    Column("variable", "variable", "name"),
    Column("default", "default"),
    Column("meaning", "meaning"),
)


@click.group(cls=SuggestingGroup, epilog=EXAMPLES)
def command() -> None:
    """Check the settings of `run`, or list the defaults. Settings are environment variables."""


@command.command(epilog=CHECK_EPILOG)
@table_options
def check(as_json: bool) -> None:
    """Show every setting with its source, and every fault."""
    from worker.cli.connections import connection_rows
    from worker.settings.otel import usable_environment
    from worker.settings.proxies import with_upper_case_proxies
    from worker.settings.settings import Settings, all_variables

    environ = with_upper_case_proxies(os.environ)
    rows = [_checked_row(variable, environ) for variable in all_variables()]
    try:
        settings = Settings.from_env(os.environ)
        rows += [*_app_rows(settings), *connection_rows(settings)]
    finally:  # the rows are printed before the faults
        print_rows(CHECK_COLUMNS, rows, as_json=as_json)
        for warning in usable_environment(os.environ).warnings:
            click.echo(f"Warning: {escape_controls(str(warning))}", err=True)


@command.command("show-defaults", epilog=DEFAULTS_EPILOG)
@table_options
def show_defaults(as_json: bool) -> None:
    """List all settings with their defaults and meanings."""
    from worker.settings.settings import all_variables

    rows: list[Row] = [
        {
            "variable": variable.name,
            "default": variable.default,
            "required": variable.required,
            "secret": variable.secret,
            "meaning": variable.meaning,
        }
        for variable in all_variables()
    ]
    print_rows(DEFAULTS_COLUMNS, rows, as_json=as_json)


def _checked_row(variable: "Variable", environ: Mapping[str, str]) -> Row:
    text, source = _text_and_source(variable, environ)
    shown = _shown(variable, text)
    value = None if shown is None else escape_surrogates(shown)
    return {"variable": variable.name, "value": value, "source": escape_surrogates(source)}


def _text_and_source(variable: "Variable", environ: Mapping[str, str]) -> tuple[str | None, str]:
    """The text that the worker would read, and where it comes from."""
    from worker.settings.secret import read_text, shown_path

    if variable.secret and (name := environ.get(f"{variable.name}_FILE")):
        path = Path(name)
        try:
            return read_text(path), f"file {shown_path(path)}"
        except ValueError:  # reported among the faults
            return None, f"file {shown_path(path)}"
    if text := environ.get(variable.name):
        return text.strip(), "env"
    return variable.default, "unset" if variable.default is None else "default"


def _shown(variable: "Variable", text: str | None) -> str | None:
    from worker.settings.secret import REDACTED, redact_url

    if text is None:
        return None
    if variable.secret and not _is_valid(variable, text):
        return REDACTED  # where its password is cannot be known
    if variable.name in {"HTTPS_PROXY", "ALL_PROXY"} and "://" not in text:
        text = f"http://{text}"
    if "://" in text:
        return redact_url(text)
    return REDACTED if variable.secret else text


def _is_valid(variable: "Variable", text: str) -> bool:
    try:
        variable.parse(text)
    except ValueError:
        return False
    return True


def _app_rows(settings: "Settings") -> list[Row]:
    """The fields in the apps file. A field that it leaves out is in the row of its variable."""
    return [
        {
            "variable": f"{app.name}.{field}",
            "value": _value_text(value),
            "source": f"file {os.environ['WORKER_APPS_FILE']}",
        }
        for app in settings.apps_file or ()
        for field, value in msgspec.structs.asdict(app).items()
        if field != "name" and value is not None
    ]


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(f"{rate.requests}/{rate.seconds:.15g}" for rate in value)
    return str(value)
