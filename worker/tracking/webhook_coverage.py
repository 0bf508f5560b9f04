"""Whether webhooks report every change: compares what sweeps find with what webhooks reported."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from recording_schemas import Status
from worker.domain.recording import Recording
from worker.store.read_schedule import TrackedRecording
from worker.store.store import Store

MAX_UNREPORTED_CHECKED: Final = 500


class WebhookCoverage:
    """Records one app's changes that a sweep found first. A webhook may still report them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By recording id the time of the list request that showed the change, in seconds.
        self._unreported: dict[str, float] = {}
        self._any_webhook = False

    @property
    def has_unreported(self) -> bool:
        """Whether a sweep found a change before a webhook reported it."""
        return bool(self._unreported)

    def compare(
        self, tracked: TrackedRecording, after: Recording, asked_at: datetime, *, since: float
    ) -> None:
        """A list requested at `asked_at` turned `tracked` into `after`.

        `since` is when the sweep before this one began, in seconds; 0 if there was none.
        """
        self._any_webhook = self._any_webhook or (tracked.webhook_at or 0.0) >= since > 0.0
        statuses = (tracked.recording.status, after.status)
        if statuses[0] is not statuses[1] and Status.PAUSED not in statuses:
            self.add_unreported([after.recording_id], asked_at)

    def take_any_webhook(self) -> bool:
        """Whether a webhook reported anything, by the comparisons since the last call."""
        any_webhook, self._any_webhook = self._any_webhook, False
        return any_webhook

    def add_unreported(self, recording_ids: Iterable[str], asked_at: datetime) -> None:
        """Remember that a list requested at `asked_at` shows changes of these recordings."""
        self._unreported |= dict.fromkeys(recording_ids, asked_at.timestamp())

    async def has_missed(self) -> bool:
        """Whether no webhook has reported a remembered change by now. Removes the changes."""
        unreported, self._unreported = self._unreported, {}
        known = await self._store.find_tracked(list(unreported)[:MAX_UNREPORTED_CHECKED])
        return any((tracked.webhook_at or 0.0) < unreported[key] for key, tracked in known.items())
