"""The inbox rows that one batch of claims reads and changes."""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, texts
from worker.store.database.direct import DirectStatement, Rows
from worker.store.database.schema import UNFINISHED, inbox
from worker.store.inbox_row import InboxRow


class ClaimedRows:
    """Rows by command id, locked until the transaction ends. New rows are inserted together.

    `holders` are the rows that hold some of the `slots`, by slot. They are not locked.

    Two replicas may add the same new row. The second one gets an IntegrityError and tries again.
    """

    def __init__(
        self, connection: sa.Connection, ids: Iterable[str], slots: Collection[str]
    ) -> None:
        self._connection = connection
        self._new: dict[str, InboxRow] = {}
        by_id = _ROWS_BY_ID.later_rows(connection, {"ids": texts(connection, ids)})
        holders = _find_holders(connection, slots)
        self._rows = {row.command_id: row for row in _inbox_rows(by_id.get())}
        self.holders = {row.holds: row for row in _inbox_rows(holders) if row.holds is not None}

    def get(self, command_id: str) -> InboxRow | None:
        """The row after the claims so far."""
        return self._rows.get(command_id)

    def put(self, row: InboxRow) -> None:
        """Change a row, or add it."""
        command_id = row.command_id
        if command_id in self._new or command_id not in self._rows:
            self._new[command_id] = row
        else:
            self._connection.execute(
                sa.update(inbox)
                .where(inbox.c.command_id == command_id)
                .values(msgspec.structs.asdict(row))
            )
        self._rows[command_id] = row

    def unfinished_starts(self, slots: Collection[str], *, since: float) -> list[InboxRow]:
        """The unfinished starts in these slots whose age counts from `since` or later, and those
        that may be parked."""
        if not slots:
            return []
        values = {"slots": texts(self._connection, slots), "since": since}
        found = _inbox_rows(_UNFINISHED_STARTS.rows(self._connection, values))
        for row in found:
            self._rows.setdefault(row.command_id, row)
        return [self._rows[row.command_id] for row in found]

    def insert_new(self) -> None:
        """Insert the rows that were added."""
        _insert(self._connection, [msgspec.structs.asdict(row) for row in self._new.values()])


def _find_holders(connection: sa.Connection, slots: Collection[str]) -> Rows:
    return _HOLDERS.rows(connection, {"slots": texts(connection, slots)}) if slots else []


def _inbox_rows(rows: Rows) -> list[InboxRow]:
    return [InboxRow(*columns) for columns in rows]


ROW: Final = sa.select(*(inbox.c[name] for name in InboxRow.__struct_fields__))
_ROWS_BY_ID: Final = DirectStatement(
    ROW.where(among(inbox.c.command_id, "ids")).order_by(inbox.c.command_id).with_for_update()
)
_HOLDERS: Final = DirectStatement(ROW.where(among(inbox.c.holds, "slots")))
_UNFINISHED_STARTS: Final = DirectStatement(
    ROW.where(
        among(inbox.c.slot, "slots"),
        UNFINISHED,
        sa.or_(
            inbox.c.first_seen_at >= sa.bindparam("since"),
            inbox.c.woken_at >= sa.bindparam("since"),
            sa.and_(inbox.c.waits_since.is_not(None), inbox.c.woken_at.is_(None)),
        ),
    )
    .order_by(inbox.c.command_id)
    .with_for_update()
)
_insert: Final = bulk_insert(inbox)
