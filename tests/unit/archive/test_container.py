"""The duration of a file, from its bytes as they pass. FFmpeg made the files in `media`."""

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_sandbox.model import media
from worker.archive.container import DurationReader
from worker.archive.container.element_reader import MAX_ELEMENTS

MEDIA = Path(__file__).parent / "media"
FILES = {path.name: path.read_bytes() for path in sorted(MEDIA.iterdir())}
DURATIONS = {
    "opus.webm": 2.508,  # stated
    "opus-piped.webm": 2.508,  # the last block has a duration
    "vp8-piped.webm": 2.4,  # the last block begins
    "avc-moov-first.mp4": 2.6,
    "avc-moov-last.mp4": 2.6,
    "dash.mp4": 2.6,
    "fragmented.mp4": 2.9,
    "fragmented-audio.mp4": 2.523,
}


def duration(body: bytes, size: int = 1024 * 1024) -> float | None:
    """The duration that the reader finds if the body arrives in chunks of this size."""
    reader = DurationReader()
    for at in range(0, len(body), size):
        reader.feed(body[at : at + size])
    return reader.seconds


@pytest.mark.parametrize("size", [1, 3, 1000, 1_000_000])
@pytest.mark.parametrize("name", DURATIONS)
def test_the_duration_is_found_however_the_bytes_are_cut(name: str, size: int) -> None:
    assert duration(FILES[name], size) == DURATIONS[name]


@pytest.mark.parametrize("name", ["a.webm", "a.mp4"])
@pytest.mark.parametrize("seconds", [1, 61, 3600])
def test_the_files_of_the_sandbox_have_their_duration(name: str, seconds: int) -> None:
    assert duration(media.content(name, seconds)) == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("name", ["a.mp3", "a.aac"])
def test_a_container_without_a_duration_has_none(name: str) -> None:
    assert duration(media.content(name, 10)) is None


@pytest.mark.parametrize(
    "body", [b"", b"\x1a", b"\x1a\x45\xdf\xa3", b"{}", b"\0" * 100, bytes(range(256)) * 50]
)
def test_bytes_of_no_container_have_no_duration(body: bytes) -> None:
    assert duration(body) is None
    assert duration(body, 1) is None


@pytest.mark.parametrize("name", DURATIONS)
def test_a_file_that_is_cut_off_has_at_most_its_duration(name: str) -> None:
    body = FILES[name]
    for end in range(0, len(body), 37):
        found = duration(body[:end])
        assert found is None or 0 < found <= DURATIONS[name]


@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32), st.integers(1, 30))
def test_damaged_files_never_raise(name: str, seed: int, changes: int) -> None:
    dice, body = random.Random(seed), bytearray(FILES[name])
    for _ in range(changes):
        at = dice.randrange(len(body))
        body[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    found = duration(bytes(body), dice.choice((1, 100, 100_000)))
    assert found is None or 0 < found < 1e9


@given(st.sampled_from([b"\x1a\x45\xdf\xa3\x80", b"\0\0\0\x08ftyp"]), st.binary(max_size=3000))
def test_hostile_bytes_behind_a_true_beginning_never_raise(start: bytes, rest: bytes) -> None:
    duration(start + rest)
    duration(start + rest, 5)


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def mvhd(scale: int, ticks: int, version: int = 0) -> bytes:
    form = ">B3xQQIQ" if version else ">B3xIIII"
    return box(b"mvhd", struct.pack(form, version, 0, 0, scale, ticks), bytes(80))


@pytest.mark.parametrize("version", [0, 1])
def test_both_versions_of_a_movie_header_are_read(version: int) -> None:
    body = box(b"ftyp", b"isom") + box(b"moov", mvhd(1000, 12_345, version))
    assert duration(body) == 12.345


@pytest.mark.parametrize("ticks", [0, 0xFFFFFFFF])
def test_a_movie_header_with_an_unknown_duration_gives_none(ticks: int) -> None:
    assert duration(box(b"ftyp", b"isom") + box(b"moov", mvhd(1000, ticks))) is None


def test_a_movie_header_without_a_time_scale_gives_none() -> None:
    assert duration(box(b"ftyp", b"isom") + box(b"moov", mvhd(0, 500))) is None


def test_a_huge_box_is_skipped_and_not_kept() -> None:
    huge = struct.pack(">I4sQ", 1, b"mdat", 16 + 40_000_000) + bytes(40_000_000)
    reader = DurationReader()
    for chunk in (box(b"ftyp", b"isom"), huge[:1_000_000], huge[1_000_000:]):
        reader.feed(chunk)
    reader.feed(box(b"moov", mvhd(1000, 5000)))
    assert reader.seconds == 5.0


@pytest.mark.parametrize(
    "bad",
    [
        struct.pack(">I4s", 7, b"free"),  # smaller than its own head
        struct.pack(">I4sQ", 1, b"free", 3),
        box(b"moov", box(b"mvhd", b"\0")),
        box(b"moov", box(b"mvex", box(b"trex", b"\0" * 7))),
        box(b"moof", box(b"traf", box(b"trun", struct.pack(">II", 0x100, 2**32 - 1)))),
    ],
)
def test_a_box_that_contradicts_itself_ends_the_reading(bad: bytes) -> None:
    after = box(b"moov", mvhd(1000, 5000))
    assert duration(box(b"ftyp", b"isom") + bad + after) is None


@pytest.mark.parametrize("size", [1_000_000, 2_000_000, 2**32 - 1])
def test_the_memory_for_a_box_that_never_ends_is_limited(size: int) -> None:
    reader = DurationReader()
    reader.feed(box(b"ftyp", b"isom") + struct.pack(">I4s", size, b"trun"))
    for _ in range(30):
        reader.feed(bytes(100_000))
        assert len(reader._reader._rest) < 1_100_000  # type: ignore[union-attr]


def test_a_file_of_tiny_elements_ends_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    # Five million elements, the real bound, take many seconds to read.
    monkeypatch.setattr("worker.archive.container.element_reader.MAX_ELEMENTS", 1000)
    start, after = box(b"ftyp", b"isom"), box(b"moov", mvhd(1000, 5000))
    assert duration(start + box(b"free") * 900 + after) == 5.0
    assert duration(start + box(b"free") * 1100 + after) is None
    assert MAX_ELEMENTS >= 50 * 3600 * 24  # a day of Opus packets


def element(number: int, body: bytes) -> bytes:
    size = (len(body) | 1 << 56).to_bytes(8)
    return number.to_bytes((number.bit_length() + 7) // 8) + size + body


HEAD = element(0x1A45DFA3, b"")
UNKNOWN = b"\x01" + b"\xff" * 7


def webm(*parts: bytes) -> bytes:
    return HEAD + bytes.fromhex("18538067") + UNKNOWN + b"".join(parts)


def block(time: int) -> bytes:
    return element(0xA3, b"\x81" + struct.pack(">h", time) + b"\x80data")


def test_blocks_count_from_the_first_and_in_the_scale_of_the_file() -> None:
    scale = element(0x1549A966, element(0x2AD7B1, (500_000).to_bytes(3)))
    first = bytes.fromhex("1f43b675") + UNKNOWN + element(0xE7, b"\x64") + block(-50) + block(900)
    last = element(0x1F43B675, element(0xE7, b"\x10\x00") + block(0) + block(4))
    assert duration(webm(scale, first, last)) == (4096 + 4 - 50) * 0.0005


@pytest.mark.parametrize("stated", ["nan", "inf", "-1", "0", "1e300"])
def test_an_impossible_stated_duration_counts_as_none(stated: str) -> None:
    info = element(0x1549A966, element(0x4489, struct.pack(">d", float(stated))))
    cluster = element(0x1F43B675, element(0xE7, b"\0") + block(0) + block(700))
    assert duration(webm(info, cluster)) == 0.7


@pytest.mark.parametrize("bad", [b"\0", b"\x08", b"\xec\0", b"\xec" + UNKNOWN])
def test_bytes_that_are_no_element_end_the_reading(bad: bytes) -> None:
    cluster = element(0x1F43B675, element(0xE7, b"\0") + block(0) + block(700))
    assert duration(webm(cluster, bad, bytes(20))) is None
