"""The bytes of files, whole and in parts."""

import pytest

from recording_sandbox.model import media, webm
from recording_sandbox.model.file_content import CHUNK_BYTES, FileContent, file_content
from recording_sandbox.model.recording import File
from tests.unit.sandbox.model.test_webm import bodies, elements

SIZES = [None, 1, 5_000, 20_000, CHUNK_BYTES, 3 * CHUNK_BYTES + 17]


def read(content: FileContent) -> bytes:
    return b"".join(content.chunks(0, content.size))


@pytest.mark.parametrize("suffix", ["webm", "mp4"])
@pytest.mark.parametrize("size", SIZES)
def test_a_file_has_the_requested_size_or_the_size_it_needs(suffix: str, size: int | None) -> None:
    name = f"a.{suffix}"
    min_size = len(media.content(name, 4.0))

    content = file_content(File(name=name, seconds=4.0, size_bytes=size))

    expected = size if size and size > min_size + 100 else min_size
    assert len(read(content)) == content.size == expected


@pytest.mark.parametrize("size", SIZES)
def test_a_padded_file_is_a_well_formed_webm_file(size: int | None) -> None:
    data = read(file_content(File(name="a.webm", seconds=4.0, size_bytes=size)))

    assert len(elements(data)) > 200
    assert webm.duration_seconds(data) == 4.0


def test_a_live_file_states_no_duration_and_has_the_same_packets() -> None:
    live = file_content(File(name="a.webm", seconds=25.0, live=True, size_bytes=50_000))
    data = read(live).replace(b"\x18\x53\x80\x67\x01" + b"\xff" * 7, b"")
    data = data.replace(b"\x1f\x43\xb6\x75\x01" + b"\xff" * 7, b"")

    assert bodies(data, 0x4489) == []
    assert len(bodies(data, 0xA3)) == 25 * 50


def test_any_part_of_a_file_equals_that_part_of_the_whole() -> None:
    content = file_content(File(name="a.webm", seconds=1.0, size_bytes=3 * CHUNK_BYTES))
    whole = read(content)
    edges = [0, 1, len(content.head) - 1, len(content.head), CHUNK_BYTES, content.size]

    for start in edges:
        for stop in edges:
            assert b"".join(content.chunks(start, stop)) == whole[start:stop]


@pytest.mark.parametrize("name", ["a.webm", "a.mp4", "a.aac", "a.mp3"])
@pytest.mark.parametrize("size", [None, 400_000])
def test_each_version_has_other_bytes_of_the_same_length(name: str, size: int | None) -> None:
    file = File(name=name, seconds=2.0, size_bytes=size)

    versions = [file_content(file, version) for version in (0, 1, 2, 254, 255)]

    assert len({read(content) for content in versions}) == len(versions)
    assert len({content.etag for content in versions}) == len(versions)
    assert len({content.size for content in versions}) == 1
