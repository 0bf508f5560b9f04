"""Writes docs/reference/cli-help.md from the commands: `python -m tests.command_line_page`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from worker.cli.root import root

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "cli-help.md"
INTRODUCTION: Final = """# Every command and option

These are the help texts of `recording-worker`, as `--help` prints them.
`python -m tests.command_line_page` writes this page. [The command line](cli.md) explains what the
commands have in common.
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join(
        [
            INTRODUCTION,
            *_sections(
                root, click.Context(root, info_name="recording-worker", **root.context_settings)
            ),
        ]
    )


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            if subcommand is not None and not subcommand.hidden:
                yield from _sections(
                    subcommand, click.Context(subcommand, parent=context, info_name=name)
                )


if __name__ == "__main__":
    PAGE.write_text(page())
