"""The metrics of tracking: recordings, sweeps and webhooks."""

from collections.abc import Mapping
from typing import Final

from recording_schemas import Status
from worker.observability.metric_factory import MetricFactory

_SWEEP_BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class TrackingMetrics:
    """The part of `Metrics` that concerns tracking. Times are in seconds."""

    def _create_tracking_metrics(self, new: MetricFactory) -> None:
        self._recordings = new.gauge("recordings", "Recordings that have not completed.", "status")
        self._unchanged = new.gauge(
            "recordings_oldest_unchanged_seconds",
            "Seconds since the last change of the longest unchanged recording.",
            "status",
        )
        self._overdue = new.gauge(
            "recordings_read_overdue_seconds",
            "Seconds since the most overdue scheduled read was due.",
        )
        self._sweep_seconds = new.histogram(
            "sweep_duration_seconds",
            "Duration of a sweep, whether it completed or failed.",
            _SWEEP_BUCKETS,
        )
        self._sweep_failures = new.counter("sweep_failures", "Sweeps that failed.")
        self._swept_at = new.gauge(
            "sweep_last_success_timestamp_seconds",
            "When the app's last sweep completed, or this process started.",
            "app",
        )
        self._webhooks = new.counter("webhooks", "Answered webhooks, by verdict.", "verdict")
        self.set_recordings({})
        self.set_oldest({}, 0.0)

    def set_recordings(self, by_status: Mapping[Status, int]) -> None:
        """Set the number of open recordings. A status that is missing has none."""
        for status in Status:
            self._recordings.labels(status.value).set(by_status.get(status, 0))

    def set_oldest(self, unchanged: Mapping[Status, float], overdue: float) -> None:
        """Set how long the longest unchanged recording of each live status has been unchanged, and
        since when the most overdue read has been due. A status that is missing has 0."""
        for status in Status:
            self._unchanged.labels(status.value).set(max(unchanged.get(status, 0.0), 0.0))
        self._overdue.set(max(overdue, 0.0))

    def record_sweep(self, seconds: float, *, failed: bool = False) -> None:
        """Record a sweep that ended after `seconds`."""
        self._sweep_seconds.observe(seconds)
        if failed:
            self._sweep_failures.inc()

    def set_last_sweep(self, app: str, moment: float) -> None:
        """Set when the app's last sweep completed, in seconds since the epoch."""
        self._swept_at.labels(app).set(moment)

    def record_webhook(self, verdict: str) -> None:
        """Count an answered webhook. `verdict` is one of a few words, such as `taken`."""
        self._webhooks.labels(verdict).inc()
