"""Remembers why commands wait, so that the log says it once and not at each attempt."""

from typing import Final

MAX_REMEMBERED: Final = 10_000
"""Of more commands, those that began to wait first are said once more."""


class WaitingCommands:
    """The reason of each command that this replica has sent back to be tried again."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._reasons: dict[str, str] = {}

    def is_news(self, command_id: str | None, reason: str) -> bool:
        """Whether the command did not wait before, or for another reason. Remembers it."""
        if command_id is None:
            return True
        if self._reasons.get(command_id) == reason:
            return False
        if command_id not in self._reasons and len(self._reasons) >= self._limit:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[command_id] = reason
        return True

    def ended(self, command_id: str | None) -> None:
        """Forget a command that waits no more."""
        if self._reasons and command_id is not None:
            self._reasons.pop(command_id, None)
