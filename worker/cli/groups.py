"""Groups of commands that suggest the right name for a misspelt one, as click does for options."""

import click

from worker.cli.suggestions import suggestion


class SuggestingGroup(click.Group):
    """A group whose error about an unknown command names similar ones."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand that the arguments name. Raises click.UsageError if there is none."""
        if not context.resilient_parsing:  # completion in the shell must not fail
            self._require_command(context, arguments[0])
        return super().resolve_command(context, arguments)

    def _require_command(self, context: click.Context, name: str) -> None:
        # Loads only the one command first: listing all of them imports every package.
        if name.startswith("-") or self.get_command(context, name) is not None:
            return
        names = self.list_commands(context)
        context.fail(f"No such command {name!r}. {suggestion(name, names)}")
