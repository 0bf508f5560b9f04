"""Whether webhooks report every change: compares what sweeps find with what webhooks reported."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from recording_schemas import Status
from worker.domain.recording import Recording
from worker.store.read_schedule import TrackedRecording
from worker.store.store import Store

MAX_SUSPECTS_CHECKED: Final = 500


class WebhookCoverage:
    """Records one app's changes that a sweep found first. A webhook may still report them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By recording id: when the list was requested that showed the change, in seconds.
        self._suspects: dict[str, float] = {}
        self._any_webhook = False

    @property
    def has_suspects(self) -> bool:
        """Whether a sweep found a change that no webhook had reported by then."""
        return bool(self._suspects)

    def compare(
        self, tracked: TrackedRecording, after: Recording, asked_at: datetime, *, since: float
    ) -> None:
        """A list requested at `asked_at` turned `tracked` into `after`.

        `since` is when the sweep before this one began, in seconds; 0 if there was none.
        """
        self._any_webhook = self._any_webhook or (tracked.last_webhook_at or 0.0) >= since > 0.0
        statuses = (tracked.recording.status, after.status)
        if statuses[0] is not statuses[1] and Status.PAUSED not in statuses:
            self.suspect([after.recording_id], asked_at)

    def take_any_webhook(self) -> bool:
        """Whether a webhook reported anything, by the comparisons since the last call."""
        any_webhook, self._any_webhook = self._any_webhook, False
        return any_webhook

    def suspect(self, recording_ids: Iterable[str], asked_at: datetime) -> None:
        """These recordings changed, according to a list requested at `asked_at`."""
        self._suspects |= dict.fromkeys(recording_ids, asked_at.timestamp())

    async def has_missed(self) -> bool:
        """Whether a suspected change is still unreported. Clears the suspects."""
        suspects, self._suspects = self._suspects, {}
        known = await self._store.tracked(list(suspects)[:MAX_SUSPECTS_CHECKED])
        return any(
            (tracked.last_webhook_at or 0.0) < suspects[key] for key, tracked in known.items()
        )
