"""The metrics of the archive."""

from typing import Final

from recording_schemas.error_codes import codes_of
from worker.observability.metric_factory import BoundedLabel, MetricFactory

_COPY_BUCKETS: Final = (0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600)


class ArchiveMetrics:
    """The part of `Metrics` that concerns the archive. Times are in seconds."""

    def _create_archive_metrics(self, new: MetricFactory) -> None:
        self._archived_files = new.counter("archive_files_copied", "Files that were archived.")
        self._archived_bytes = new.counter("archive_bytes_copied", "Bytes that were archived.")
        self._archive_seconds = new.histogram(
            "archive_copy_duration_seconds",
            "From the start of an attempt to the commit of its copy.",
            _COPY_BUCKETS,
        )
        self._archive_failures = new.counter(
            "archive_failures", "Failed attempts to archive a file, by error code.", "reason"
        )
        self._archive_reasons = BoundedLabel()
        self._archive_queued = new.gauge("archive_queued_files", "Files that wait to be archived.")
        self._archive_age = new.gauge(
            "archive_oldest_age_seconds", "How long the oldest file that is queued has waited."
        )
        self._archive_expiry = new.gauge(
            "archive_first_expiry_seconds",
            "Time until the first URL of a queued file expires. NaN if no file is queued.",
        )
        self._archive_refused = new.gauge(
            "archive_refused_files",
            "Queued files and manifests that the storage has refused five times in a row.",
        )
        self._archive_failed = new.gauge(
            "archive_failed_files", "Files that were given up and are still in the store."
        )
        for reason in codes_of("archive"):
            self._archive_failures.labels(self._archive_reasons.of(reason))
        self.set_archive(queued=0, oldest_age=0.0, first_expiry=None, refused=0, failed=0)

    def record_archived(self, size_bytes: int, seconds: float) -> None:
        """Record a file that was archived within `seconds`."""
        self._archived_files.inc()
        self._archived_bytes.inc(size_bytes)
        self._archive_seconds.observe(max(seconds, 0.0))

    def record_archive_failure(self, reason: str) -> None:
        """Count an attempt that failed. `reason` is its error code."""
        self._archive_failures.labels(self._archive_reasons.of(reason)).inc()

    def set_archive(
        self,
        *,
        queued: int,
        oldest_age: float,
        first_expiry: float | None,
        refused: int,
        failed: int,
    ) -> None:
        """Set how many files wait, since when the oldest does, and when the first URL expires.

        `first_expiry` counts from now. It is negative if the URL has expired, and None if no file
        waits. `refused` of them wait because the storage refuses them. `failed` are not included.
        """
        self._archive_queued.set(queued)
        self._archive_age.set(max(oldest_age, 0.0))
        self._archive_expiry.set(float("nan") if first_expiry is None else first_expiry)
        self._archive_refused.set(refused)
        self._archive_failed.set(failed)
