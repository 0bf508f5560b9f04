"""The content of recorded files: silence of the right length, in the format of the name."""

import struct
from functools import lru_cache

from recording_sandbox.model import webm

TYPES = {"webm": "video/webm", "mp4": "video/mp4", "mp3": "audio/mpeg", "aac": "audio/aac"}

# MPEG-1 Layer III, 32 kbit/s, 44.1 kHz, mono: a header, and side information of zeros.
_MP3_FRAME = b"\xff\xfb\x10\xc4" + bytes(100)
# AAC-LC, 44.1 kHz, mono: an ADTS header, and one empty channel element.
_AAC_PAYLOAD = bytes.fromhex("01182007")
_AAC_FRAME = bytes.fromhex("fff15040") + struct.pack(">H", (7 + 4) << 5 | 0x1F) + b"\xfc"
_SAMPLES = {"mp3": 1152, "aac": 1024}
_MOVIE_SCALE = 1000
_OPUS_SAMPLES = 960
_OPUS_PACKET = b"\xf8\xff\xfe"


@lru_cache(maxsize=64)
def content(name: str, seconds: float, *, live: bool = False, padding: int = 0) -> bytes:
    """The bytes of the file. KeyError if the suffix of the name is not in `TYPES`.

    With `padding`, WebM and MP4 files end with an empty element of this many bytes, which the
    caller must append. `live` is for WebM: the output of a recorder that streams, without a
    duration.
    """
    match suffix(name):
        case "webm":
            return webm.silence(seconds, live=live, padding=padding)
        case "mp4":
            return _mp4(seconds, padding)
        case other:
            return {"mp3": _mp3, "aac": _aac}[other](seconds)


def suffix(name: str) -> str:
    """The part of the name after the last dot."""
    return name.rsplit(".", 1)[-1]


def _mp3(seconds: float) -> bytes:
    return _MP3_FRAME * max(1, round(seconds * 44_100 / _SAMPLES["mp3"]))


def _aac(seconds: float) -> bytes:
    frame = _AAC_FRAME + _AAC_PAYLOAD
    return frame * max(1, round(seconds * 44_100 / _SAMPLES["aac"]))


def _mp4(seconds: float, padding: int) -> bytes:
    """A movie file with one Opus track (ISO/IEC 14496-12, Opus in ISOBMFF)."""
    packets = max(1, round(seconds * 48_000 / _OPUS_SAMPLES))
    brand = _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
    data = _box(b"mdat", _OPUS_PACKET * packets)
    movie = brand + data + _movie(packets, offset=len(brand) + 8)
    return movie + _free(padding) if padding else movie


def _free(padding: int) -> bytes:
    """The head of a box that players skip, with a size of 64 bits."""
    return struct.pack(">I4sQ", 1, b"free", 16 + padding)


def _movie(packets: int, *, offset: int) -> bytes:
    length = packets * _OPUS_SAMPLES
    movie_length = length * _MOVIE_SCALE // 48_000
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    head = struct.pack(">5IIHHQ", 0, 0, 0, _MOVIE_SCALE, movie_length, 0x10000, 0x100, 0, 0)
    movie_head = _box(b"mvhd", head + matrix + bytes(24) + struct.pack(">I", 2))
    track = struct.pack(">6IQ4H", 3, 0, 0, 1, 0, movie_length, 0, 0, 0, 0x100, 0)
    track_head = _box(b"tkhd", track + matrix + bytes(8))
    media_head = _box(b"mdhd", struct.pack(">5IHH", 0, 0, 0, 48_000, length, 0x55C4, 0))
    handler = _box(b"hdlr", bytes(8) + b"soun" + bytes(12) + b"sound\0")
    source = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1) + _box(b"url ", b"\0\0\0\1")))
    info = _box(b"minf", _box(b"smhd", bytes(8)) + source + _sample_table(packets, offset))
    return _box(
        b"moov", movie_head + _box(b"trak", track_head + _box(b"mdia", media_head + handler + info))
    )


def _sample_table(packets: int, offset: int) -> bytes:
    opus = _box(b"dOps", struct.pack(">BBHIhB", 0, 1, 312, 48_000, 0, 0))
    entry = _box(b"Opus", bytes(6) + struct.pack(">H8xHHII", 1, 1, 16, 0, 48_000 << 16) + opus)
    return _box(
        b"stbl",
        _box(b"stsd", struct.pack(">II", 0, 1) + entry)
        + _box(b"stts", struct.pack(">IIII", 0, 1, packets, _OPUS_SAMPLES))
        + _box(b"stsc", struct.pack(">5I", 0, 1, 1, packets, 1))
        + _box(b"stsz", struct.pack(">III", 0, len(_OPUS_PACKET), packets))
        + _box(b"stco", struct.pack(">III", 0, 1, offset)),
    )


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body
