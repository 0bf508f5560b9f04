"""`recording-worker dead`."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from recording_schemas import COMMAND_TYPES
from worker.cli.context import common_settings
from worker.cli.dead.actions import each, find, look, replay_one
from worker.cli.dead.format import print_letters, print_told, teller
from worker.cli.dead.letter import DeadLetterView, Row, Selection, everything, moment
from worker.cli.output import json_option, print_json

if TYPE_CHECKING:
    from worker.broker.admin.dead_letter_queue import DeadLetterQueue
    from worker.settings.settings import CommonSettings

Decorated = TypeVar("Decorated", bound=Callable[..., object])

EXAMPLES = """\
\b
Examples:
  recording-worker dead list
  recording-worker dead show "$COMMAND_ID"
  recording-worker dead replay "$COMMAND_ID" --new-id
  recording-worker dead drop --reason not_json --dry-run

A letter is named by the id of its command, else by the twelve digits that `list` shows for it.
"""
LIST_EPILOG = """\
\b
Examples:
  recording-worker dead list --reason unknown_type
  recording-worker dead list --json | jq -r .reason_code | sort | uniq -c

The oldest stands first. Letters are held for the time of the command, and stay where they are.
"""
SHOW_EPILOG = """\
\b
Examples:
  recording-worker dead show 1
  recording-worker dead show "$COMMAND_ID" --raw --json | jq -r .body

What may be a secret shows as [secure], also in a body that is no command; --raw has the body
exactly as it came.
"""
REPLAY_EPILOG = """\
\b
Examples:
  recording-worker dead replay "$COMMAND_ID" --new-id
  recording-worker dead replay --reason delivery_limit --limit 1
  recording-worker dead replay --all --dry-run

A command id is executed once. Letters that `list --json` calls answered have an outcome already
(rejected or failed), which the workers remember: replayed as they are they only get that outcome
published again. With --new-id each goes out as a new command, which nothing keeps from doing what
the first one may have done; whoever waits for an outcome waits under the old id, which the copy
has in its header x-replay-of. Letters that the broker buried (delivery_limit) are executed under
their own id, unless workers had begun with them longer ago than WORKER_COMMAND_MAX_AGE_SECONDS.

\b
The copy has the bytes, properties and headers of the letter. x-attempts goes on, x-first-seen
becomes x-replay-first-seen, x-replays counts, x-replayed-at says when. The letter goes once the
broker has confirmed the copy.

\b
Exit codes: 0 done, 1 some were not replayed or not found, 2 wrong flags.
"""
DROP_EPILOG = """\
\b
Examples:
  recording-worker dead drop "$COMMAND_ID"
  recording-worker dead drop --before 2025-06-01T00:00:00Z --yes

\b
What is dropped is gone. On a terminal it asks first; elsewhere it needs --yes.
Exit codes: 0 done, 1 not agreed to or not found, 2 wrong flags.
"""


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Commands that could not be executed: look at them, send them again, drop them."""


def filters(decorated: Decorated) -> Decorated:
    """Adds the flags that `_selection` reads."""
    for option in (
        click.option("--before", metavar="TIME", help="Buried before this time (RFC 3339)."),
        click.option(
            "--type",
            "types",
            multiple=True,
            type=click.Choice([*COMMAND_TYPES, "unknown"]),
            help="Commands of this type; may be repeated.",
        ),
        click.option(
            "--reason",
            "reasons",
            multiple=True,
            metavar="CODE",
            help="Buried for this reason, such as invalid_member; may be repeated.",
        ),
    ):
        decorated = option(decorated)
    return decorated


def selecting(decorated: Decorated) -> Decorated:
    """Adds the flags of commands that change something, which must say what."""
    for option in (
        click.option("--dry-run", is_flag=True, help="Only show what would be done."),
        click.option(
            "--limit", type=click.IntRange(min=1), help="At most so many, the oldest first."
        ),
        click.option("--all", "everything_there", is_flag=True, help="All there are."),
    ):
        decorated = option(decorated)
    return click.argument("letters", nargs=-1, metavar="[LETTER]...")(filters(decorated))


@command.command("list", epilog=LIST_EPILOG)
@filters
@click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="At most so many, the oldest first.",
)
@json_option
def list_letters(
    reasons: tuple[str, ...],
    types: tuple[str, ...],
    before: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show which letters there are, and why."""
    wanted = _selection(reasons, types, before)
    found, unread = asyncio.run(look(common_settings(), wanted, limit))
    print_letters(found, as_json=as_json)
    if unread:
        click.echo(f"{unread} more not looked at: --limit is {limit}", err=True)


@command.command(epilog=SHOW_EPILOG)
@click.argument("letter", metavar="LETTER|POSITION")
@click.option("--raw", is_flag=True, help="The body as it came, secrets and all.")
@json_option
def show(letter: str, raw: bool, as_json: bool) -> None:
    """Show all there is to one letter; POSITION is the number that `list` shows."""
    found = asyncio.run(find(common_settings(), letter))
    if not found:
        raise click.ClickException(f"no dead letter is called {letter!r}")
    for one in found:
        told = everything(one, raw=raw)
        if as_json:
            print_json(told)
        else:
            print_told(told)


@command.command(epilog=REPLAY_EPILOG)
@selecting
@click.option("--new-id", is_flag=True, help="Give each a new command id, to be executed anew.")
@json_option
@click.pass_context
def replay(
    context: click.Context,
    /,
    letters: tuple[str, ...],
    reasons: tuple[str, ...],
    types: tuple[str, ...],
    before: str | None,
    everything_there: bool,
    limit: int | None,
    dry_run: bool,
    new_id: bool,
    as_json: bool,
) -> None:
    """Send letters back to where they came from."""
    wanted = _said(_selection(reasons, types, before, letters), everything_there=everything_there)

    async def act(visit: "DeadLetterQueue", one: DeadLetterView) -> Row:
        if dry_run:
            return {"result": "would_replay"}
        return await replay_one(visit, one, new_id=new_id)

    rows = asyncio.run(each(common_settings(), wanted, limit, act, teller(as_json=as_json)))
    repeated = sum(bool(one["answered"]) for one in rows)
    if repeated and not new_id:
        click.echo(
            f"{repeated} have an outcome already, which workers only publish again: with --new-id "
            "they would be executed",
            err=True,
        )
    context.exit(_exit_code(rows, wanted))


@command.command(epilog=DROP_EPILOG)
@selecting
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_context
def drop(
    context: click.Context,
    /,
    letters: tuple[str, ...],
    reasons: tuple[str, ...],
    types: tuple[str, ...],
    before: str | None,
    everything_there: bool,
    limit: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Throw letters away."""
    wanted = _said(_selection(reasons, types, before, letters), everything_there=everything_there)
    settings = common_settings()
    if not (dry_run or yes):
        wanted = _agreed(settings, wanted, limit)

    async def act(visit: "DeadLetterQueue", one: DeadLetterView) -> Row:
        if dry_run:
            return {"result": "would_drop"}
        await visit.drop(one.letter)
        return {"result": "dropped"}

    rows = asyncio.run(each(settings, wanted, limit, act, teller(as_json=as_json)))
    context.exit(_exit_code(rows, wanted))


def _selection(
    reasons: Sequence[str], types: Sequence[str], before: str | None, letters: Sequence[str] = ()
) -> Selection:
    return Selection(
        handles=frozenset(letters),
        reasons=frozenset(reasons),
        types=frozenset(types),
        before=moment(before),
    )


def _said(wanted: Selection, *, everything_there: bool) -> Selection:
    """Raises click.UsageError unless it was said clearly which letters are meant."""
    filtered = bool(wanted.reasons or wanted.types or wanted.before)
    if [bool(wanted.handles), filtered, everything_there].count(True) != 1:
        raise click.UsageError(
            "say which letters: by their names, or by --reason, --type and --before, or --all"
        )
    return wanted


def _agreed(settings: "CommonSettings", wanted: Selection, limit: int | None) -> Selection:
    """Show what would go, and ask: those that were seen, and no others.

    Nothing is held meanwhile: the broker does not wait for as long as people think.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("--yes is needed where nobody can be asked; --dry-run shows what")
    found, _ = asyncio.run(look(settings, wanted, limit))
    if found:
        print_letters(found, as_json=False)
        number = "1 letter" if len(found) == 1 else f"{len(found)} letters"
        if not click.confirm(f"Drop {number} for good?", err=True):
            click.echo("Nothing was dropped", err=True)
            raise click.exceptions.Exit(1)
    seen = frozenset(one.fingerprint for one in found)
    return msgspec.structs.replace(wanted, fingerprints=seen)


def _exit_code(rows: Sequence[Row], wanted: Selection) -> int:
    """Say what is missing or stayed, and return the exit code for it."""
    lacking = sorted(wanted.handles - {str(one["letter"]) for one in rows})
    for name in lacking:
        click.echo(f"Error: no dead letter is called {name!r}", err=True)
    if not rows and not lacking:
        click.echo("No such letters", err=True)
    return 1 if lacking or any(one["result"] == "refused" for one in rows) else 0
