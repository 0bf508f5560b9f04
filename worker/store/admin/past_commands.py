"""Reads commands that have ended, and their outcomes. Workers may run meanwhile.

The search goes back along the index of ended commands. Other conditions have no index, so the
search is limited: it reads at most `MAX_COMMANDS`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo
from worker.domain.event_envelopes import OutcomeRecord
from worker.store.database.schema import FINISHED, inbox

MAX_COMMANDS: Final = 100_000
PAGE_ROWS: Final = 200


class PastCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that workers know. Times are seconds since the epoch.

    `outcome`, `data` and `finished_at` are None while it has not ended. `data` are the fields of
    the outcome's event. `last_error` is why the last attempt did not end it.
    """

    command_id: str
    command_type: str
    app: str | None
    state: str
    attempts: int
    first_seen_at: float
    finished_at: float | None
    outcome: str | None
    event_id: str | None
    data: dict[str, Any] | None
    last_error: ErrorInfo | None

    @property
    def code(self) -> str | None:
        """The error code of an outcome that has one."""
        return self._error().get("code")

    @property
    def message(self) -> str | None:
        """The error message of an outcome that has one."""
        return self._error().get("message")

    def _error(self) -> dict[str, Any]:
        data = self.data or {}
        return data.get("last_error") or data


class PastCommandsFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects commands that have ended. A field that is None or empty matches any.

    `since` and `until` are seconds since the epoch, both included.
    """

    limit: int = 100
    command_id: str | None = None
    types: Collection[str] = ()
    outcomes: Collection[str] = ()
    codes: Collection[str] = ()
    app: str | None = None
    since: float | None = None
    until: float | None = None


class PastCommands(msgspec.Struct, frozen=True, kw_only=True):
    """The commands that were found, the one that ended last first.

    `looked_back_to` is set if the search ended there after MAX_COMMANDS.
    """

    commands: tuple[PastCommand, ...]
    looked_back_to: float | None = None


def find_past_commands(connection: sa.Connection, condition: PastCommandsFilter) -> PastCommands:
    """Commands that have ended, the last one first."""
    found: list[PastCommand] = []
    looked_at = 0
    command: PastCommand | None = None
    for command in _candidates(connection, condition):
        looked_at += 1
        if is_selected(command, condition):
            found.append(command)
            if len(found) == condition.limit:
                return PastCommands(commands=tuple(found))
    gave_up = command is not None and looked_at == MAX_COMMANDS
    return PastCommands(
        commands=tuple(found), looked_back_to=command.finished_at if command and gave_up else None
    )


class OutcomeCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many commands of one type ended with one outcome and code, and the last one of them."""

    command_type: str
    outcome: str
    code: str | None
    count: int
    latest_id: str
    latest_at: float


class OutcomeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent first. `looked_back_to` as in PastCommands."""

    counts: tuple[OutcomeCount, ...]
    looked_back_to: float | None


def summarize_past_commands(
    connection: sa.Connection, condition: PastCommandsFilter
) -> OutcomeSummary:
    """Count the commands that have ended, by type, outcome and code. `limit` bounds the groups."""
    latest: dict[tuple[str, str | None, str | None], PastCommand] = {}
    counts: Counter[tuple[str, str | None, str | None]] = Counter()
    looked_at = 0
    last: PastCommand | None = None
    for last in _candidates(connection, condition):
        looked_at += 1
        if is_selected(last, condition):
            group = (last.command_type, last.outcome, last.code)
            counts[group] += 1
            latest.setdefault(group, last)
    gave_up = last is not None and looked_at == MAX_COMMANDS
    return OutcomeSummary(
        counts=tuple(
            _outcome_count(latest[group], count)
            for group, count in counts.most_common(condition.limit)
        ),
        looked_back_to=last.finished_at if last and gave_up else None,
    )


def _outcome_count(latest: PastCommand, count: int) -> OutcomeCount:
    return OutcomeCount(
        command_type=latest.command_type,
        outcome=latest.outcome or "",
        code=latest.code,
        count=count,
        latest_id=latest.command_id,
        latest_at=latest.finished_at or 0.0,
    )


def find_command(connection: sa.Connection, command_id: str) -> PastCommand | None:
    """The command of this id, even if it has not ended. None if it never arrived."""
    by_id = COMMANDS.where(inbox.c.command_id == command_id)
    row = connection.execute(by_id).mappings().first()
    # A stop by `start_id` leaves a row for a start that never arrived.
    return (
        None
        if row is None or (row["attempts"] == 0 and row["outcome"] is None)
        else past_command_of(row)
    )


def _candidates(connection: sa.Connection, condition: PastCommandsFilter) -> Iterable[PastCommand]:
    """The command of the filter's id, else all that ended, the last one first. Of `condition` only
    the id and the times are applied."""
    if condition.command_id is None:
        return ended_commands(connection, condition)
    command = find_command(connection, condition.command_id)
    return [command] if command and _ended_between(command, condition) else []


def _ended_between(command: PastCommand, condition: PastCommandsFilter) -> bool:
    ended = command.finished_at
    return (
        ended is not None
        and (condition.since is None or condition.since <= ended)
        and (condition.until is None or ended <= condition.until)
    )


class CommandCursor(msgspec.Struct, frozen=True, array_like=True):
    """A position between two rows: behind the command that ended then."""

    finished_at: float
    command_id: str


def ended_commands(
    connection: sa.Connection,
    condition: PastCommandsFilter,
    *,
    after: CommandCursor | None = None,
    max_commands: int = MAX_COMMANDS,
) -> Iterator[PastCommand]:
    """Commands that have ended, the last one first, in pages that each use the index.

    Of `condition` only the times are applied. At most `max_commands` are read, in whole pages.
    """
    ended = COMMANDS.where(FINISHED).order_by(inbox.c.finished_at.desc(), inbox.c.command_id.desc())
    if condition.since is not None:
        ended = ended.where(inbox.c.finished_at >= condition.since)
    page_query = ended.limit(PAGE_ROWS)
    if condition.until is not None:
        page_query = page_query.where(inbox.c.finished_at <= condition.until)
    if after is not None:
        page_query = page_query.where(*_behind(after))
    for _ in range(max_commands // PAGE_ROWS):
        page = [past_command_of(row) for row in connection.execute(page_query).mappings()]
        yield from page
        if len(page) < PAGE_ROWS:
            return
        cursor = CommandCursor(page[-1].finished_at or 0.0, page[-1].command_id)
        page_query = ended.limit(PAGE_ROWS).where(*_behind(cursor))


def _behind(after: CommandCursor) -> tuple[sa.ColumnElement[bool], ...]:
    position = sa.tuple_(inbox.c.finished_at, inbox.c.command_id)
    return (
        inbox.c.finished_at <= after.finished_at,  # this part has an index
        position < sa.tuple_(sa.literal(after.finished_at), sa.literal(after.command_id)),
    )


COMMANDS: Final = sa.select(
    inbox.c.command_id,
    inbox.c.command_type,
    inbox.c.app,
    inbox.c.state,
    inbox.c.attempts,
    inbox.c.first_seen_at,
    inbox.c.finished_at,
    inbox.c.outcome,
    inbox.c.last_error,
)


def past_command_of(row: sa.RowMapping) -> PastCommand:
    """The command of a row of `COMMANDS`."""
    record = msgspec.json.decode(row["outcome"], type=OutcomeRecord) if row["outcome"] else None
    return PastCommand(
        command_id=row["command_id"],
        command_type=row["command_type"],
        app=row["app"],
        state=row["state"],
        attempts=row["attempts"],
        first_seen_at=row["first_seen_at"],
        finished_at=row["finished_at"],
        outcome=record.event_type.split(".")[1] if record else None,
        event_id=record.event_id if record else None,
        data=msgspec.json.decode(record.body)["data"] if record else None,
        last_error=msgspec.json.decode(row["last_error"], type=ErrorInfo)
        if row["last_error"] and record is None
        else None,
    )


def is_selected(command: PastCommand, condition: PastCommandsFilter) -> bool:
    """Whether it has ended and matches the filter. The times of the filter are not checked."""
    pairs = (
        (condition.types, command.command_type),
        (condition.outcomes, command.outcome),
        (condition.codes, command.code),
        ((condition.app,) if condition.app is not None else (), command.app),
    )
    return command.outcome is not None and all(
        not accepted or value in accepted for accepted, value in pairs
    )
