"""`recording-worker config`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from worker.cli.output import json_option, print_rows

if TYPE_CHECKING:
    from worker.settings.documentation import DocumentedSetting
    from worker.settings.settings import Settings

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
Apps of WORKER_APPS_FILE show as <app>.<member>.
Secrets show as [secure], URLs without their passwords. Exit codes: 0 fine, 2 with faults, each of
them named on stderr.
"""
CHECKED: Final = {"variable": "variable", "value": "value", "source": "source"}
DEFAULTS: Final = {"variable": "variable", "default": "default", "meaning": "meaning"}


@click.group(epilog=EXAMPLES)
def command() -> None:
    """The settings of `run`, which are environment variables."""


@command.command(epilog=CHECK_EPILOG)
@json_option
def check(as_json: bool) -> None:
    """Show every setting with where it comes from, and every fault."""
    from worker.settings.documentation import documented_settings
    from worker.settings.settings import Settings

    rows = [_checked(row, os.environ) for row in documented_settings()]
    try:
        rows += _checked_apps(Settings.from_env(os.environ))
    finally:  # what is wrong with them is said after what they are
        print_rows(CHECKED, rows, as_json=as_json)


@command.command(
    "show-defaults", epilog="\b\nExample:\n  recording-worker config show-defaults --json\n"
)
@json_option
def show_defaults(as_json: bool) -> None:
    """Show every setting there is, its default and what it means."""
    from worker.settings.documentation import documented_settings

    rows = [
        {
            "variable": row.variable,
            "default": row.default,
            "required": row.required,
            "secret": row.secret,
            "meaning": row.meaning,
        }
        for row in documented_settings()
    ]
    print_rows(DEFAULTS, rows, as_json=as_json)


def _checked(row: "DocumentedSetting", environ: Mapping[str, str]) -> dict[str, object]:
    text, source = _given(row, environ)
    return {"variable": row.variable, "value": _fit_to_show(row, text), "source": source}


def _checked_apps(settings: "Settings") -> list[dict[str, object]]:
    """What the apps' file says; what it leaves to the variables stands in their rows."""
    return [
        {
            "variable": f"{app.name}.{member}",
            "value": _in_words(value),
            "source": f"file {os.environ['WORKER_APPS_FILE']}",
        }
        for app in settings.apps_file or ()
        for member, value in msgspec.structs.asdict(app).items()
        if member != "name" and value is not None
    ]


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ",".join(f"{rate.requests}/{rate.seconds:g}" for rate in value)
    return str(value)


def _given(row: "DocumentedSetting", environ: Mapping[str, str]) -> tuple[str | None, str]:
    """What the worker would read, and from where."""
    from worker.settings.secret import read_text

    if row.secret and (path := environ.get(f"{row.variable}_FILE")):
        try:
            return read_text(Path(path)), f"file {path}"
        except ValueError:  # told among the faults
            return None, f"file {path}"
    if given := environ.get(row.variable):
        return given.strip(), "env"
    return row.default, "unset" if row.default is None else "default"


def _fit_to_show(row: "DocumentedSetting", text: str | None) -> str | None:
    from worker.settings.secret import REDACTED, redact_url

    if text is None:
        return None
    if "://" in text:
        return redact_url(text)
    return REDACTED if row.secret else text
