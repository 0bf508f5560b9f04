"""Renders docs/reference/cli-help.md from the commands; `make docs-pages` writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from worker.cli.root import root

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "cli-help.md"
INTRODUCTION: Final = """# Every command and option

This page has the help text of every command, as `--help` prints it. `make docs-pages` writes it.
[The command line](cli.md) explains the commands.
"""


def root_context() -> click.Context:
    """The context of `recording-worker`, as a call makes it.

    A command keeps the help option of its first context, so all tests have to use the same one.
    """
    return click.Context(root, info_name="recording-worker", **root.context_settings)


def page() -> str:
    """The up-to-date page."""
    return "\n".join([INTRODUCTION, *_sections(root, root_context())])


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            if subcommand is not None and not subcommand.hidden:
                yield from _sections(
                    subcommand, click.Context(subcommand, parent=context, info_name=name)
                )
