"""WebM files, read by a strict reader that shares no code with their writer."""

import struct

import pytest

from recording_sandbox.model import media, webm

MASTERS = {0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE1, 0x1F43B675}


def elements(data: bytes) -> list[tuple[int, bytes]]:
    """All elements, depth first; master elements have an empty body. Fails if malformed."""
    found, at = [], 0
    while at < len(data):
        width = 9 - data[at].bit_length()
        number = int.from_bytes(data[at : at + width])
        at += width
        size_width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + size_width]) & ((1 << 7 * size_width) - 1)
        at += size_width
        assert at + size <= len(data), "an element reaches beyond its parent"
        body = data[at : at + size]
        found.append((number, b"" if number in MASTERS else body))
        if number in MASTERS:
            found += elements(body)
        at += size
    return found


def bodies(data: bytes, number: int) -> list[bytes]:
    return [body for name, body in elements(data) if name == number]


@pytest.mark.parametrize("seconds", [0.02, 1.0, 9.99, 10.0, 12.34, 65.5])
def test_the_duration_in_the_header_is_the_recorded_time(seconds: float) -> None:
    assert webm.duration_seconds(webm.silence(seconds)) == pytest.approx(seconds, abs=0.0005)


def test_the_header_declares_webm_with_one_opus_track() -> None:
    data = webm.silence(1)

    assert bodies(data, 0x4282) == [b"webm"]
    assert bodies(data, 0x86) == [b"A_OPUS"]
    assert bodies(data, 0x83) == [b"\x02"]
    (head,) = bodies(data, 0x63A2)
    assert struct.unpack("<8sBBHIhB", head) == (b"OpusHead", 1, 1, 312, 48_000, 0, 0)


def test_the_packets_cover_the_whole_duration_in_steps_of_twenty_milliseconds() -> None:
    times, cluster = [], 0
    for number, body in elements(webm.silence(25.0)):
        if number == 0xE7:
            cluster = int.from_bytes(body)
        elif number == 0xA3:
            times.append(cluster + int.from_bytes(body[1:3], signed=True))

    assert times == list(range(0, 25_000, 20))


def test_every_packet_is_silence_of_twenty_milliseconds_in_mono() -> None:
    packets = {body[4:] for body in bodies(webm.silence(3), 0xA3)}

    assert packets == {b"\xf8\xff\xfe"}


@pytest.mark.parametrize("data", [b"", b"\0", b"RIFF", webm.silence(30)[:-1], webm.silence(1)[:40]])
def test_data_that_is_not_a_complete_webm_file_has_no_duration(data: bytes) -> None:
    with pytest.raises(ValueError, match="WebM"):
        webm.duration_seconds(data)


def test_each_kind_of_file_starts_with_the_magic_bytes_of_its_format() -> None:
    starts = {suffix: media.content(f"x.{suffix}", 1.0)[:12] for suffix in media.TYPES}

    assert starts["webm"].startswith(b"\x1a\x45\xdf\xa3")
    assert starts["mp4"][4:8] == b"ftyp"
    assert starts["mp3"].startswith(b"\xff\xfb")
    assert starts["aac"].startswith(b"\xff\xf1")
