"""Whether webhooks tell of all that changes: what sweeps find is compared with what was told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from recording_schemas import Status
from worker.domain.recording import Recording
from worker.store.read_schedule import TrackedRecording
from worker.store.store import Store

MOST_DOUBTS: Final = 500
"""So many changes are asked after whether webhooks told of them, too."""


class WebhookCoverage:
    """What one app's webhooks told, and what they should have told and perhaps still will."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Changes that were seen here first, with when (seconds) the API was asked.
        self._doubts: dict[str, float] = {}
        self.any_webhook = False
        """Whether they told of anything since a sweep that began at `since`, see `compare`."""

    @property
    def has_suspects(self) -> bool:
        """Whether anything was found of which no webhook had told."""
        return bool(self._doubts)

    def compare(
        self, followed: TrackedRecording, after: Recording, asked_at: datetime, *, since: float
    ) -> None:
        """A list that was asked for then has made this of what was known."""
        self.any_webhook = self.any_webhook or (followed.last_webhook_at or 0.0) >= since > 0.0
        moves = (followed.recording.status, after.status)
        if moves[0] is not moves[1] and Status.PAUSED not in moves:
            self.suspect([after.recording_id], asked_at)

    def suspect(self, recordings: Iterable[str], asked_at: datetime) -> None:
        """These have changed, by a list that was asked for then."""
        self._doubts |= dict.fromkeys(recordings, asked_at.timestamp())

    async def has_missed(self) -> bool:
        """Whether no webhook has told to this day of something that was in doubt."""
        doubts, self._doubts = self._doubts, {}
        known = await self._store.tracked(list(doubts)[:MOST_DOUBTS])
        return any((one.last_webhook_at or 0.0) < doubts[key] for key, one in known.items())
