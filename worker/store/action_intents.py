"""Stores which recordings a stop, pause or resume by meeting is about to act on, before it calls.

A process may die after some of the calls. If these recordings end before the next attempt, no list
of live recordings shows them. Then only this shows that the command may have acted on them.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.direct import DirectStatement
from worker.store.database.schema import inbox
from worker.store.database.submissions import LateResult


class ActionIntent(msgspec.Struct, frozen=True, kw_only=True):
    """The recordings that this attempt of the claimed command is about to act on."""

    command_id: str
    owner: str
    recording_ids: Sequence[str]


def keep_intent(
    connection: sa.Connection, requests: Sequence[ActionIntent]
) -> list[LateResult[bool]]:
    """Operation: store each intent with its command. False if the owner does not have the command.

    The next claim takes these recordings as acted on. The end of the attempt removes the intent.
    """
    return [LateResult(_KEEP.later_rows(connection, _values(intent)), bool) for intent in requests]


def _values(intent: ActionIntent) -> dict[str, str]:
    return {
        "id": intent.command_id,
        "owner": intent.owner,
        "ids": msgspec.json.encode(intent.recording_ids).decode(),
    }


_KEEP: Final = DirectStatement(
    sa.update(inbox)
    .where(
        inbox.c.command_id == sa.bindparam("id"),
        inbox.c.state == "running",
        inbox.c.lease_owner == sa.bindparam("owner"),
    )
    .values(stopping=sa.bindparam("ids"))
    .returning(inbox.c.command_id)
)
