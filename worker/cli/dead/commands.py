"""The subcommands of `recording-worker dead`."""

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from worker.cli.context import common_settings
from worker.cli.dead.actions import (
    MAY_BE_HELD,
    LetterAction,
    UnknownLetter,
    act_on_letters,
    drop_letter,
    find_letters,
    list_letters,
    replay_letter,
)
from worker.cli.dead.format import (
    letter_details,
    print_details,
    print_letters,
    print_result,
)
from worker.cli.dead.known_commands import KnownCommands
from worker.cli.dead.letter import DecodedLetter
from worker.cli.dead.options import Change, change_options, filter_options
from worker.cli.dead.selection import Selection
from worker.cli.groups import SuggestingGroup
from worker.cli.ids import complete_among
from worker.cli.output import (
    Row,
    json_option,
    limit_option,
    object_option,
    print_json,
    print_object,
    table_options,
)
from worker.cli.text import counted
from worker.domain.short_ids import beginning

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_queue import DeadLetterQueue
    from worker.settings.settings import CommonSettings

EXAMPLES = """\
\b
Examples:
  recording-worker dead list
  recording-worker dead show "$COMMAND_ID"
  recording-worker dead replay "$COMMAND_ID" --new-id
  recording-worker dead drop --reason not_json --dry-run

A letter is a dead-lettered message. Its name is the id of its command. A message without an id has
a name of twelve digits, which `list` shows.
"""
LIST_EPILOG = """\
\b
Examples:
  recording-worker dead list --reason unknown_type
  recording-worker dead list --before 2h
  recording-worker dead list --json | jq -r .reason_code | sort | uniq -c

The oldest letter comes first. While the command runs, no other program can read the letters. They
stay in the queue; the broker may change their order. TIME is an RFC 3339 time, a date (its
beginning on this machine), or a duration before now, such as 90s, 15m, 2h or 7d.
"""
SHOW_EPILOG = """\
\b
Examples:
  recording-worker dead show 1
  recording-worker dead show "$COMMAND_ID" --raw --json | jq -r .body

Possible secrets are shown as [secure], even in a body that is not a command. --raw shows the
original body.
"""
REPLAY_EPILOG = """\
\b
Examples:
  recording-worker dead replay "$COMMAND_ID" --new-id
  recording-worker dead replay --reason crashed --new-id --limit 1
  recording-worker dead replay --all --dry-run

A command id is executed once. If `list --json` shows "has_outcome": true, the command has ended
as rejected, expired or failed. A worker has published this outcome, or will as soon as one runs. If
you replay such a letter with its own id, it is not executed: the workers publish the outcome again.

With --new-id, a letter becomes a new command and is executed. This may repeat effects of the old
command. Its outcome has the new id. The new command has the old id in the header x-replay-of.

\b
The copy has the bytes, properties and headers of the letter, with these changes: x-attempts becomes
x-replay-attempts and starts from zero, x-first-seen becomes x-replay-first-seen, x-replays counts
the replays, and x-replayed-at has the time. The letter is removed when the broker has confirmed the
copy.

\b
Exit codes: 0 all replayed, 1 some not replayed or not found, 2 wrong flags.
"""
DROP_EPILOG = """\
\b
Examples:
  recording-worker dead drop "$COMMAND_ID"
  recording-worker dead drop --before 30d --yes

\b
A dropped letter cannot be recovered. On a terminal the command asks first. Elsewhere it needs
--yes.

\b
Exit codes: 0 all dropped, 1 not confirmed or not found, 2 wrong flags.
"""


@click.group(cls=SuggestingGroup, epilog=EXAMPLES)
def command() -> None:
    """Show, replay or drop commands that could not be executed."""


@command.command("list", epilog=LIST_EPILOG)
@filter_options
@limit_option("Show at most this many, oldest first.")
@table_options
def list_(selection: Selection, limit: int, as_json: bool) -> None:
    """List the letters, with the reason of each."""
    letters, unread = asyncio.run(list_letters(common_settings(), selection, limit))
    print_letters(letters, as_json=as_json)
    if unread:
        click.echo(f"{unread} more not read: --limit is {limit}", err=True)


@command.command(epilog=SHOW_EPILOG)
@click.argument("letter", metavar="LETTER|POSITION")
@click.option("--raw", is_flag=True, help="Show the original body, with its secrets.")
@object_option
def show(letter: str, raw: bool, as_json: bool) -> None:
    """Show everything about one letter. POSITION is the number in `list`."""
    for decoded in asyncio.run(find_letters(common_settings(), letter)):
        details = letter_details(decoded, raw=raw)
        if as_json:
            print_object(details)
        else:
            print_details(details)


@command.command(epilog=REPLAY_EPILOG)
@change_options
@click.option("--new-id", is_flag=True, help="Give each command a new id, so that it is executed.")
@json_option
@click.pass_context
def replay(context: click.Context, /, change: Change, new_id: bool, as_json: bool) -> None:
    """Send letters back to the queue of commands."""

    settings = common_settings()
    known = KnownCommands(settings) if new_id else None
    is_known = known.includes if known else None

    async def action(queue: "DeadLetterQueue", decoded: DecodedLetter) -> Row:
        return await replay_letter(queue, decoded, is_known=is_known)

    change = _with_whole_names(settings, change)
    rows = _apply(settings, change, action, would="would_replay", as_json=as_json)
    with_outcome = sum(bool(row["has_outcome"]) for row in rows)
    if with_outcome and not new_id:
        click.echo(
            f"{with_outcome} already have an outcome: workers only publish it again. Add --new-id "
            "so that they are executed",
            err=True,
        )
    if known and known.unread_reason and any(row.get("new_command_id") for row in rows):
        click.echo(
            "If an earlier replay of a letter was interrupted, its command may have been sent "
            "before, and is executed once. The state, which shows that, cannot be read: "
            f"{known.unread_reason}",
            err=True,
        )
    if known:
        known.close()
    context.exit(_exit_code(settings, rows, change.selection))


@command.command(epilog=DROP_EPILOG)
@change_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@click.pass_context
def drop(context: click.Context, /, change: Change, yes: bool, as_json: bool) -> None:
    """Remove letters permanently."""
    settings = common_settings()
    change = _with_whole_names(settings, change)
    if not (change.dry_run or yes):
        change = _confirmed(settings, change)
    rows = _apply(settings, change, drop_letter, would="would_drop", as_json=as_json)
    context.exit(_exit_code(settings, rows, change.selection))


def _apply(
    settings: "CommonSettings", change: Change, action: LetterAction, *, would: str, as_json: bool
) -> list[Row]:
    """Act on the selected letters and print each. A dry run only prints `would` as the result."""

    async def pretend(_queue: "DeadLetterQueue", _decoded: DecodedLetter) -> Row:
        return {"result": would}

    acting = act_on_letters(
        settings,
        change.selection,
        change.limit,
        pretend if change.dry_run else action,
        print_json if as_json else print_result,
    )
    return asyncio.run(acting)


def _with_whole_names(settings: "CommonSettings", change: Change) -> Change:
    """The change, in which short names are replaced by those of the letters in the queue."""
    handles = change.selection.handles
    if all(beginning(name) is None for name in handles):
        return change
    letters, _ = asyncio.run(list_letters(settings, Selection(), None))
    known = {decoded.handle for decoded in letters}
    whole = frozenset(complete_among("LETTER", name, known) for name in handles)
    selection = msgspec.structs.replace(change.selection, handles=whole)
    return msgspec.structs.replace(change, selection=selection)


def _confirmed(settings: "CommonSettings", change: Change) -> Change:
    """Show the selected letters and ask. The result selects only the letters that were shown.

    The queue is not held open meanwhile, because the user may take longer than the broker waits.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(
            "cannot ask without a terminal: add --yes, or --dry-run to see what would be dropped"
        )
    letters, _ = asyncio.run(list_letters(settings, change.selection, change.limit))
    if letters:
        print_letters(letters, as_json=False)
        if not click.confirm(f"Drop {counted(len(letters), 'letter')} permanently?", err=True):
            click.echo("Nothing was dropped", err=True)
            raise click.exceptions.Exit(1)
    fingerprints = frozenset(decoded.fingerprint for decoded in letters)
    selection = msgspec.structs.replace(change.selection, fingerprints=fingerprints)
    return msgspec.structs.replace(change, selection=selection)


def _exit_code(settings: "CommonSettings", rows: Sequence[Row], selection: Selection) -> int:
    """Report the names that were not found, and return the exit code."""
    missing = sorted(selection.handles - {str(row["letter"]) for row in rows})
    if missing:
        letters, _ = asyncio.run(list_letters(settings, Selection(), None))
        for name in missing:
            UnknownLetter(name, (decoded.handle for decoded in letters)).show()
    if not rows and not missing:
        click.echo(f"No dead letter matches. {MAY_BE_HELD}", err=True)
    return 1 if missing or any(row["result"] == "refused" for row in rows) else 0
