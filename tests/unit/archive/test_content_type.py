"""The media type of a file."""

import pytest

from worker.archive.content_type import content_type_of


@pytest.mark.parametrize(
    ("name", "kind", "header", "expected"),
    [
        ("a.webm", "video", None, "video/webm"),
        ("a.webm", "audio", "video/webm", "audio/webm"),
        ("a.MP4", "video", None, "video/mp4"),
        ("a.mp4", "audio", None, "audio/mp4"),
        ("a.mp3", "video", None, "audio/mpeg"),
        ("a.b.aac", "audio", "binary/octet-stream", "audio/aac"),
        ("a.unknown", "video", "video/quicktime", "video/quicktime"),
        ("a", "audio", None, "application/octet-stream"),
    ],
)
def test_the_name_decides_before_the_source(
    name: str, kind: str, header: str | None, expected: str
) -> None:
    assert content_type_of(name, kind, header) == expected
