"""Remembers why commands wait, so that the log says it once and not at every attempt."""

from typing import Final

MAX_REMEMBERED: Final = 10_000
"""The maximum number of commands to remember. Above it, the oldest ones may be logged again."""


class WaitingCommands:
    """The reasons of the commands that this replica sent back for another attempt."""

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        self._reasons: dict[str, str] = {}

    def is_new_reason(self, command_id: str | None, reason: str) -> bool:
        """Whether the command is new, or waits for another reason than before. Remembers the
        reason."""
        if command_id is None:
            return True
        if self._reasons.get(command_id) == reason:
            return False
        if command_id not in self._reasons and len(self._reasons) >= self._limit:
            del self._reasons[next(iter(self._reasons))]
        self._reasons[command_id] = reason
        return True

    def ended(self, command_id: str | None) -> None:
        """Forget a command that no longer waits."""
        if self._reasons and command_id is not None:
            self._reasons.pop(command_id, None)
