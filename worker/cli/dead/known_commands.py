"""Finds out whether workers have received a command id before."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.settings.settings import CommonSettings


class KnownCommands:
    """The command ids in the database of DATABASE_URL.

    `unread_reason` is why the database cannot be read. None if it can, or was not read yet.
    """

    def __init__(self, settings: "CommonSettings") -> None:
        from worker.store.admin.state_reader import StateReader

        self._reader = StateReader(settings.database_url.reveal(), pooler=settings.database_pooler)
        self.unread_reason: str | None = None

    async def includes(self, command_id: str) -> bool | None:
        """Whether workers have received the id. None if the database cannot be read."""
        from worker.domain.errors import StoreUnavailable, WrongSettings
        from worker.store.admin.past_commands import find_command

        if self.unread_reason is not None:
            return None
        try:
            found = await asyncio.to_thread(self._reader.read, find_command, command_id)
        except (StoreUnavailable, WrongSettings) as error:
            self.unread_reason = str(error)
            return None
        return found is not None

    def close(self) -> None:
        """Drop the connections."""
        self._reader.close()
