"""Commands for the console: pages, a summary of the newest, and those that have not ended.

No query reads through history: each reads a limited number of the newest rows.
"""

from collections import Counter
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.domain.command_keys import DEFAULT_APP, KINDS, start_slot
from worker.store.admin.past_commands import (
    COMMANDS,
    CommandCursor,
    PastCommand,
    PastCommandsFilter,
    ended_commands,
    is_selected,
    past_command_of,
)
from worker.store.database.dialects import meeting_key
from worker.store.database.schema import FINISHED, UNFINISHED, inbox, parked

MAX_LOOKED_AT: Final = 10_000
"""How many of the newest commands a page or a summary reads."""

MAX_UNFINISHED: Final = 200
MAX_MEETINGS: Final = 40
"""How many starts are read for the meetings of a search."""


class CommandsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Commands that have ended, the last one first. `next` continues behind the last row read;
    None if there are no more."""

    commands: tuple[PastCommand, ...]
    next: CommandCursor | None


class ErrorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Commands that ended with the same error. `example` is the last one."""

    code: str
    outcome: str
    commands: int
    types: tuple[str, ...]
    example: PastCommand


class CommandsSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest commands ended since `since`, or since `looked_back_to` if that is set.

    `slots` has, for each slot of `slot_seconds`, the number of commands by outcome: the first slot
    begins at `since`. `types` has the same by type. Times are seconds since the epoch.
    """

    since: float
    slot_seconds: float
    slots: tuple[dict[str, int], ...]
    types: dict[str, dict[str, int]]
    errors: tuple[ErrorGroup, ...]
    looked_back_to: float | None


class ParkedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What a parked command waits for: the session of a meeting, or a start by its id."""

    waits_for: str
    app: str
    subject: str
    parked_at: float
    due_at: float


def read_commands_page(
    connection: sa.Connection,
    condition: PastCommandsFilter,
    after: CommandCursor | None = None,
    *,
    max_commands: int = MAX_LOOKED_AT,
) -> CommandsPage:
    """Selected commands that have ended, at most `condition.limit` of them."""
    found: list[PastCommand] = []
    last: PastCommand | None = None
    looked_at = 0
    newest = ended_commands(connection, condition, after=after, max_commands=max_commands)
    for last in newest:
        looked_at += 1
        if is_selected(last, condition):
            found.append(last)
            if len(found) == condition.limit:
                break
    may_have_more = len(found) == condition.limit or looked_at == max_commands
    cursor = CommandCursor(last.finished_at or 0.0, last.command_id) if last else None
    return CommandsPage(commands=tuple(found), next=cursor if may_have_more else None)


def summarize_commands(
    connection: sa.Connection,
    *,
    since: float,
    until: float,
    slots: int,
    max_commands: int = MAX_LOOKED_AT,
) -> CommandsSummary:
    """How commands ended from `since` to `until`, in this many slots of time."""
    seconds = (until - since) / slots
    by_slot: list[Counter[str]] = [Counter() for _ in range(slots)]
    by_type: dict[str, Counter[str]] = {}
    by_code: dict[tuple[str, str], list[PastCommand]] = {}
    looked_at, last = 0, None
    times = PastCommandsFilter(since=since, until=until)
    for last in ended_commands(connection, times, max_commands=max_commands):
        looked_at += 1
        outcome = last.outcome or "unknown"
        slot = min(slots - 1, int(((last.finished_at or since) - since) / seconds))
        by_slot[slot][outcome] += 1
        by_type.setdefault(last.command_type, Counter())[outcome] += 1
        if outcome != "succeeded":
            by_code.setdefault((last.code or outcome, outcome), []).append(last)
    is_cut = looked_at == max_commands and last is not None
    return CommandsSummary(
        since=since,
        slot_seconds=seconds,
        slots=tuple(dict(counts) for counts in by_slot),
        types={name: dict(counts) for name, counts in sorted(by_type.items())},
        errors=tuple(_groups(by_code)),
        looked_back_to=last.finished_at if is_cut and last is not None else None,
    )


def _groups(by_code: dict[tuple[str, str], list[PastCommand]]) -> list[ErrorGroup]:
    groups = [
        ErrorGroup(
            code=code,
            outcome=outcome,
            commands=len(commands),
            types=tuple(sorted({command.command_type for command in commands})),
            example=commands[0],
        )
        for (code, outcome), commands in by_code.items()
    ]
    return sorted(groups, key=lambda group: -group.commands)


def read_unfinished(connection: sa.Connection) -> tuple[PastCommand, ...]:
    """Some of the commands that have not ended, the oldest first."""
    rows = connection.execute(COMMANDS.where(UNFINISHED).limit(MAX_UNFINISHED)).mappings()
    commands = [past_command_of(row) for row in rows if row["attempts"]]
    return tuple(sorted(commands, key=lambda command: (command.first_seen_at, command.command_id)))


def find_parked_command(connection: sa.Connection, command_id: str) -> ParkedCommand | None:
    """What the command is parked for. None if it is not parked."""
    columns = (parked.c[name] for name in ParkedCommand.__struct_fields__)
    row = connection.execute(
        sa.select(*columns).where(parked.c.command_id == command_id, parked.c.number == 0)
    ).mappings()
    found = row.first()
    return ParkedCommand(**found) if found else None


def find_starts_of_meeting(
    connection: sa.Connection, meeting_id: str, *, max_commands: int = MAX_LOOKED_AT
) -> tuple[PastCommand, ...]:
    """Starts of a meeting, the newest first, among the newest commands."""
    ids = [
        command_id
        for condition in (UNFINISHED, FINISHED)
        for command_id in connection.execute(
            _of_meeting(condition, meeting_id, max_commands)
        ).scalars()
    ]
    rows = connection.execute(COMMANDS.where(inbox.c.command_id.in_(ids))).mappings()
    commands = [past_command_of(row) for row in rows if row["attempts"] or row["outcome"]]
    return tuple(sorted(commands, key=lambda command: command.first_seen_at, reverse=True))


def find_meetings_of_starts(
    connection: sa.Connection, beginning: str, *, max_commands: int
) -> tuple[str, ...]:
    """Meetings with a start among the newest commands, whose ids begin like this."""
    beginning = meeting_key(beginning) or ""
    slots = [
        slot
        for condition in (UNFINISHED, FINISHED)
        for slot in connection.execute(_slots(condition, beginning, max_commands)).scalars()
    ]
    meetings = dict.fromkeys(slot.rpartition("/")[0].rpartition("/")[2] for slot in slots)
    return tuple(meeting for meeting in meetings if meeting.startswith(beginning))


def _slots(condition: sa.TextClause, beginning: str, max_commands: int) -> sa.Select[str]:
    looked_at = _newest(condition, max_commands)
    # Of the default app, and of another one: see `_of_meeting`.
    begins = sa.or_(
        looked_at.c.slot.startswith(beginning, autoescape=True),
        looked_at.c.slot.contains(f"/{beginning}", autoescape=True),
    )
    return sa.select(looked_at.c.slot).where(begins).distinct().limit(MAX_MEETINGS)


def _newest(condition: sa.TextClause, max_commands: int) -> sa.Subquery:
    newest = sa.select(inbox.c.command_id, inbox.c.slot).where(condition).limit(max_commands)
    if condition is FINISHED:
        newest = newest.order_by(inbox.c.finished_at.desc())
    return newest.subquery()


def _of_meeting(
    condition: sa.TextClause, meeting_id: str, max_commands: int
) -> sa.Select[tuple[str]]:
    looked_at = _newest(condition, max_commands)
    # The slot of the default app is `meeting/kind`, that of another one `app/meeting/kind`.
    slots = [start_slot(DEFAULT_APP, meeting_id, kind) for kind in KINDS]
    is_of_meeting = sa.or_(
        looked_at.c.slot.in_(slots),
        *(looked_at.c.slot.endswith(f"/{slot}", autoescape=True) for slot in slots),
    )
    return sa.select(looked_at.c.command_id).where(is_of_meeting).limit(MAX_UNFINISHED)
