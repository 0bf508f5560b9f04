"""When a live recording should have made progress."""

from datetime import UTC, datetime, timedelta

from recording_schemas import Status
from worker.domain.recording import Recording
from worker.domain.timeouts import Timeouts, is_overdue

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
TIMEOUTS = Timeouts(
    files_settle=10,
    files_wait=120,
    files_late=3600,
    invoked_timeout=600,
    uploading_timeout=21_600,
    recording_timeout=90_000,
    vanished_after=60,
)


def upload(known_for: float) -> Recording:
    """A recording that was first seen this many seconds ago, and changed a second ago."""
    return Recording(
        recording_id="r",
        app="default",
        kind="track",
        status=Status.UPLOADING,
        first_seen_at=NOW - timedelta(seconds=known_for),
        changed_at=NOW - timedelta(seconds=1),
    )


def test_an_upload_after_the_longest_recording_still_has_the_time_of_an_upload() -> None:
    longest = TIMEOUTS.recording_timeout + TIMEOUTS.uploading_timeout
    assert not is_overdue(upload(longest - 1), NOW, TIMEOUTS)
    assert is_overdue(upload(longest), NOW, TIMEOUTS)
