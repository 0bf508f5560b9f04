"""WebM files with one Opus track of silence, written and read without a codec library.

Sources: the Matroska element specification (RFC 9559), EBML (RFC 8794), Opus in Matroska.
"""

import struct
from collections.abc import Iterator
from functools import cache

_EBML, _SEGMENT, _INFO, _DURATION, _SCALE = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x4489, 0x2AD7B1
_TRACKS, _CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = 0x1654AE6B, 0x1F43B675, 0xE7, 0xA3
_VOID = 0xEC

_FRAME_MS = 20
_CLUSTER_MS = 10_000
# One Opus packet: TOC byte for 20 ms CELT full band mono, then the coder's shortest silence.
_SILENCE = b"\xf8\xff\xfe"
_PRE_SKIP = 312  # Samples at 48 kHz that a decoder skips at the start.
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7


def silence(seconds: float, *, live: bool = False, padding: int = 0) -> bytes:
    """A playable WebM file of this length, with one mono Opus track at 48 kHz.

    `live` writes the output of a recorder that streams: no duration, and segment and clusters of
    unknown size. With `padding` the file ends with a Void element of this many bytes, which the
    caller must append.
    """
    milliseconds = max(_FRAME_MS, round(seconds * 1000))
    clusters = b"".join(_clusters(milliseconds, live=live))
    body = _info(None if live else milliseconds) + _tracks() + clusters
    if padding:
        body += _number_bytes(_VOID) + _wide_size(padding)
    size = _UNKNOWN_SIZE if live else _wide_size(len(body) + padding)
    return _header() + _number_bytes(_SEGMENT) + size + body


def duration_seconds(data: bytes) -> float:
    """The duration in the header of a WebM file. ValueError if there is none."""
    for number, start, end in _children(data, 0, len(data)):
        if number == _SEGMENT:
            for child, child_start, child_end in _children(data, start, end):
                if child == _INFO:
                    return _stated_duration(data, child_start, child_end)
    raise ValueError("not a WebM file with a duration")


def _stated_duration(data: bytes, start: int, end: int) -> float:
    scale, ticks = 1_000_000, None
    for number, value_start, value_end in _children(data, start, end):
        value = data[value_start:value_end]
        if number == _SCALE:
            scale = int.from_bytes(value)
        elif number == _DURATION:
            (ticks,) = struct.unpack(">d" if len(value) == 8 else ">f", value)
    if ticks is None:
        raise ValueError("the WebM file states no duration")
    return float(ticks) * scale / 1e9


def _header() -> bytes:
    fields = (
        _uint(0x4286, 1)  # EBML version, read version, longest id, longest size
        + _uint(0x42F7, 1)
        + _uint(0x42F2, 4)
        + _uint(0x42F3, 8)
        + _element(0x4282, b"webm")
        + _uint(0x4287, 4)
        + _uint(0x4285, 2)
    )
    return _element(_EBML, fields)


def _info(milliseconds: int | None) -> bytes:
    duration = b""
    if milliseconds is not None:
        duration = _element(_DURATION, struct.pack(">d", float(milliseconds)))
    name = b"recording sandbox"
    return _element(
        _INFO, _uint(_SCALE, 1_000_000) + duration + _element(0x4D80, name) + _element(0x5741, name)
    )


def _tracks() -> bytes:
    opus_head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, _PRE_SKIP, 48_000, 0, 0)
    audio = _element(0xB5, struct.pack(">d", 48_000.0)) + _uint(0x9F, 1)
    entry = (
        _uint(0xD7, 1)  # track number, uid, type "audio"
        + _uint(0x73C5, 1)
        + _uint(0x83, 2)
        + _element(0x86, b"A_OPUS")
        + _element(0x63A2, opus_head)
        + _uint(0x56AA, _PRE_SKIP * 1_000_000_000 // 48_000)  # codec delay, seek pre-roll in ns
        + _uint(0x56BB, 80_000_000)
        + _element(0xE1, audio)
    )
    return _element(_TRACKS, _element(0xAE, entry))


def _clusters(milliseconds: int, *, live: bool) -> Iterator[bytes]:
    for start in range(0, milliseconds, _CLUSTER_MS):
        length = min(_CLUSTER_MS, milliseconds - start)
        body = _uint(_TIMESTAMP, start) + _blocks(-(-length // _FRAME_MS))
        size = _UNKNOWN_SIZE if live else _size(len(body))
        yield _number_bytes(_CLUSTER) + size + body


@cache
def _blocks(frames: int) -> bytes:
    """Packets of silence. Their times are relative to the cluster, so all clusters share them."""
    return b"".join(
        _element(_SIMPLE_BLOCK, b"\x81" + struct.pack(">h", index * _FRAME_MS) + b"\x80" + _SILENCE)
        for index in range(frames)
    )


def _element(number: int, body: bytes) -> bytes:
    return _number_bytes(number) + _size(len(body)) + body


def _uint(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _number_bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _size(length: int) -> bytes:
    width = 1
    while length >= (1 << 7 * width) - 1:  # All ones means "unknown".
        width += 1
    return (length | 1 << 7 * width).to_bytes(width)


def _wide_size(length: int) -> bytes:
    """The size in eight bytes, so that the place of what follows does not depend on it."""
    return (length | 1 << 56).to_bytes(8)


def _children(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The elements between two offsets: number, start and end of the body of each."""
    while start < end:
        number, start = _read_vint(data, start, keep_marker=True)
        length, start = _read_vint(data, start, keep_marker=False)
        stop = start + length
        if stop > end:
            raise ValueError("the WebM file is cut off")
        yield number, start, stop
        start = stop


def _read_vint(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    if at >= len(data) or data[at] == 0:
        raise ValueError("not a WebM file, or cut off")
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width])
    return (value if keep_marker else value & ~(1 << 7 * width)), at + width
