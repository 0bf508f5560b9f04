"""The command `recording-worker`. It imports a subcommand only when that one is needed."""

import importlib
import os
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click

from worker.cli.groups import SuggestingGroup
from worker.cli.output import no_color_option

MODULES: Final = {
    "run": "worker.cli.run",
    "send": "worker.cli.send",
    "tail": "worker.cli.tail",
    "status": "worker.cli.status.command",
    "recordings": "worker.cli.recordings",
    "archive": "worker.cli.archive.commands",
    "outcomes": "worker.cli.outcomes",
    "console": "worker.cli.console",
    "store": "worker.cli.store",
    "dead": "worker.cli.dead.commands",
    "webhooks": "worker.cli.webhooks",
    "topology": "worker.cli.topology",
    "config": "worker.cli.config",
}
"""The built-in subcommands, in the order of the help, and the modules of their `command`."""

PLUGIN_GROUP: Final = "recording_worker.commands"
"""The entry-point group through which installed packages add subcommands."""

OPTIONAL: Final = {"demo": "recording-worker-sandbox", "sandbox": "recording-worker-sandbox"}
"""Subcommands of our packages that need not be installed, and those packages."""

EPILOG: Final = """\
\b
Examples:
  recording-worker config check
  recording-worker run
  recording-worker send start_track_recording --meeting-id "$MEETING" --wait
  recording-worker tail --meeting-id "$MEETING"

Settings are environment variables; `config show-defaults` lists them. Output is a table on a
terminal, and JSON lines in a pipe. Exit codes: 0 done, 1 failed, 2 wrong flags or settings.
"""


class Subcommands(SuggestingGroup):
    """The built-in subcommands, then those of installed packages."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Their names, in the order of the help."""
        return [*MODULES, *sorted(_plugins().keys() | OPTIONAL.keys())]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return the subcommand; None if there is none with this name."""
        if name in MODULES:
            return _require_command(importlib.import_module(MODULES[name]).command)
        if (plugin := _plugins().get(name)) is None:
            return _stand_in(name, OPTIONAL[name]) if name in OPTIONAL else None
        try:
            return _require_command(plugin.load())
        except ImportError as error:
            return _stand_in(name, error.name)

    def invoke(self, context: click.Context) -> Any:  # noqa: ANN401 - whatever the command returns
        """Run the subcommand, and report a package that a plugin lacks."""
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            if context.invoked_subcommand not in _plugins():
                raise
            raise _not_installed(str(context.invoked_subcommand), error.name) from error


@cache
def _plugins() -> dict[str, EntryPoint]:
    """The entry points of other packages. They cannot replace a built-in subcommand."""
    found = entry_points(group=PLUGIN_GROUP)
    return {plugin.name: plugin for plugin in found if plugin.name not in MODULES}


def _require_command(found: object) -> click.Command:
    if not isinstance(found, click.Command):
        raise TypeError(f"{found!r} is not a click command")
    return found


def _stand_in(name: str, package: str | None) -> click.Command:
    """A command instead of a plugin that cannot be imported. It names the package to install."""

    @click.command(
        name,
        help="Not installed; run it to see what it needs.",
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )
    @click.argument("ignored", nargs=-1, type=click.UNPROCESSED)
    def explain(ignored: tuple[str, ...]) -> None:
        raise _not_installed(name, package)

    return explain


def _not_installed(name: str, package: str | None) -> click.ClickException:
    return click.ClickException(
        f"`{name}` needs {package or 'a package'}, which is not installed: "
        "pip install 'recording-worker[sandbox]'"
    )


@click.command(
    cls=Subcommands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="recording-worker", prog_name="recording-worker")
@no_color_option
@click.pass_context
def root(context: click.Context, /) -> None:
    """Record RealtimeKit meetings by commands from RabbitMQ, and publish events."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
