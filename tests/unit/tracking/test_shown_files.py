"""How long the files that a list shows are kept."""

from datetime import UTC, datetime

from recording_schemas import Kind, Status
from worker.domain.recording import Recording
from worker.domain.snapshot import FoundFile, RecordingSnapshot
from worker.tracking.shown_files import ShownFiles


def snapshot(recording_id: str = "r1", kind: Kind | None = "track") -> RecordingSnapshot:
    return RecordingSnapshot(
        recording_id=recording_id,
        status=Status.UPLOADED,
        kind=kind,
        stopped_time=datetime(2026, 11, 1, 10, 0, 0, 1000, tzinfo=UTC),
        files=(FoundFile(name="a.webm", media="audio", download_url="https://a", layer="default"),),
    )


def test_a_snapshot_is_returned_once_and_unchanged() -> None:
    shown = ShownFiles()
    shown.put(snapshot())
    assert shown.take("r1") == snapshot()
    assert shown.take("r1") is None


def test_the_known_kind_counts_before_that_of_the_snapshot() -> None:
    shown = ShownFiles()
    for kind in ("track", "composite"):
        known = Recording(recording_id=kind, app="default", kind=kind, status=Status.UPLOADED)
        shown.put(snapshot(kind, kind=None), known)
    assert shown.take("track") is not None
    assert shown.take("composite") is None


def test_the_memory_for_snapshots_is_bounded_and_freed() -> None:
    shown = ShownFiles(max_bytes=1000)
    for round_number in range(5):
        ids = [f"{round_number}-{number}" for number in range(100)]
        for shown_id in ids * 2:
            shown.put(snapshot(shown_id))
        kept = [recording_id for recording_id in ids if shown.take(recording_id)]
        assert 1 <= len(kept) <= 10
