"""The recordings that a row of the inbox names in addition to its outcome."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.store.database.schema import inbox


def add_acted_on(connection: sa.Connection, command_id: str, recording_ids: Sequence[str]) -> None:
    """Add recordings to a command's `acted_on`. Recordings that it already has are kept."""
    is_command = inbox.c.command_id == command_id
    acted_on = connection.execute(
        sa.select(inbox.c.acted_on).where(is_command).with_for_update()
    ).scalar()
    before: list[str] = msgspec.json.decode(acted_on) if acted_on else []
    after = msgspec.json.encode(list(dict.fromkeys((*before, *recording_ids)))).decode()
    connection.execute(sa.update(inbox).where(is_command).values(acted_on=after))
