"""A composite's file keeps the name under which it was announced."""

from datetime import UTC, datetime

import pytest

from recording_schemas import Kind, Status
from worker.domain.composite_files import with_announced_names
from worker.domain.file_names import media_of
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def observed(*names: str) -> Observation:
    """An observation of files. A name that ends with `-audio` has no file extension."""
    files = tuple(
        TrackFile(file_name=name, media_kind="audio" if name.endswith("-audio") else media_of(name))
        for name in names
    )
    snapshot = RecordingSnapshot(recording_id="r", status=Status.UPLOADED)
    return Observation(
        snapshot=snapshot, observed_by="sweep", asked_at=NOW, observed_at=NOW, files=files
    )


@pytest.mark.parametrize(
    ("announced", "listed", "named"),
    [
        (["xx.mp4"], ["room.mp4", "xx.mp3"], ["xx.mp4", "xx.mp3"]),
        (["xx-audio"], ["room.mp4", "room.mp3"], ["room.mp4", "xx-audio"]),
        (["xx.mp4", "xx-audio"], ["room.mp4", "room-audio"], ["xx.mp4", "xx-audio"]),
        (["xx.mp4"], ["xx.mp4"], ["xx.mp4"]),
        (["xx.mp4"], ["room.mp3", "room.mp4"], ["room.mp3", "xx.mp4"]),
        (["xx.mp3"], ["room.mp4"], ["room.mp4"]),
        ([], ["room.mp4"], ["room.mp4"]),
        (["a.mp4", "b.mp4"], ["c.mp4"], ["c.mp4"]),
        (["a.mp4"], ["b.mp4", "c.mp4"], ["b.mp4", "c.mp4"]),
    ],
)
def test_the_file_of_a_media_keeps_its_name_unless_there_are_several(
    announced: list[str], listed: list[str], named: list[str]
) -> None:
    files = with_announced_names("composite", observed(*listed), announced).files or ()
    assert [file.file_name for file in files] == named


@pytest.mark.parametrize("kind", ["track", None])
def test_only_files_of_composites_are_renamed(kind: Kind | None) -> None:
    observation = observed("two.webm")
    assert with_announced_names(kind, observation, ["one.webm"]) == observation
