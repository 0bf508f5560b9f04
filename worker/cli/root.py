"""The command `recording-worker`: its subcommands are imported when they are asked for."""

import importlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click

PLUGINS: Final = "recording_worker.commands"
OWN: Final = (
    "run",
    "send",
    "tail",
    "recordings",
    "store",
    "dead",
    "webhooks",
    "topology",
    "config",
)

EPILOG: Final = """\
\b
Examples:
  recording-worker config check
  recording-worker run
  recording-worker send start_track_recording --meeting-id "$MEETING" --wait
  recording-worker tail --meeting-id "$MEETING"

Settings come from the environment: `config show-defaults` lists them. Tables are for terminals; in
a pipe, data comes as JSON lines. Exit codes: 0 done, 1 failed, 2 wrong flags or settings.
"""


class Subcommands(click.Group):
    """Our own subcommands, then those that installed packages bring along."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names, in the order of the help."""
        return [*OWN, *sorted(_plugins().keys() - set(OWN))]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of this name, imported now; None when there is none."""
        if name in OWN:
            module = importlib.import_module(f"worker.cli.{name}")
            return _checked(module.command)
        if (plugin := _plugins().get(name)) is None:
            return None
        try:
            return _checked(plugin.load())
        except ImportError as missing:
            return _lacking(name, missing)

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        """Run the subcommand. A plugin may import what it needs as late as this."""
        try:
            return super().invoke(context)
        except ModuleNotFoundError as missing:
            if context.invoked_subcommand not in _plugins():
                raise
            raise _not_installed(str(context.invoked_subcommand), missing) from missing


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {found.name: found for found in _found() if found.name not in OWN}


def _found() -> Iterable[EntryPoint]:
    return entry_points(group=PLUGINS)


def _checked(found: object) -> click.Command:
    if not isinstance(found, click.Command):
        raise TypeError(f"{found!r} is not a click command")
    return found


def _lacking(name: str, missing: ImportError) -> click.Command:
    """Stands where a plugin would, and says what to install."""

    @click.command(
        name,
        help="Not installed; run it to see what it needs.",
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )
    @click.argument("ignored", nargs=-1, type=click.UNPROCESSED)
    def explain(ignored: tuple[str, ...]) -> None:
        raise _not_installed(name, missing) from missing

    return explain


def _not_installed(name: str, missing: ImportError) -> click.ClickException:
    lacking = missing.name or "a package"
    return click.ClickException(
        f"`{name}` needs {lacking}, which is not installed: pip install 'recording-worker[sandbox]'"
    )


@click.command(
    cls=Subcommands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="recording-worker", prog_name="recording-worker")
def root() -> None:
    """Record RealtimeKit meetings by commands from RabbitMQ, and say what became of them."""
