"""The duration of an MP4 file: from `mvhd` or `mehd`, else from its fragments.

`moov` may be in front or at the end. A file that was written live has fragments (`moof`), and its
`mvhd` has the duration 0. Source: ISO/IEC 14496-12.
"""

import struct
from typing import Final

import msgspec

from worker.archive.container.element_reader import ElementReader, stated_seconds

FIRST_BOXES: Final = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"}

_PARENTS: Final = {b"moov", b"trak", b"mdia", b"mvex", b"moof", b"traf"}
_MAX_BODY_BYTES: Final = 1024 * 1024
_UNKNOWN: Final = {0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}
_MAX_TRACKS: Final = 64


class _Track(msgspec.Struct):
    scale: int = 0
    default_duration: int = 0
    end: int = 0


class Mp4Reader(ElementReader):
    """Reads until the stated duration, else to the end."""

    def __init__(self) -> None:
        super().__init__()
        self._scale = 0
        self._stated: float | None = None
        self._tracks: dict[int, _Track] = {}
        self._track = _Track()
        self._fragment_duration = 0

    @property
    def seconds(self) -> float | None:
        """The stated duration, else the end of the last fragment."""
        ends = [track.end / track.scale for track in self._tracks.values() if track.scale]
        return stated_seconds(self._stated or max(ends, default=0.0))

    def parse(self, data: bytes) -> int:
        """Read complete boxes, and the heads of those that are skipped."""
        at, end = 0, len(data)
        while end - at >= 8 and not self.is_done:
            following = self._box(data, at, end)
            if following is None:
                break
            at = following
            self.count()
        return at

    def give_up(self) -> None:
        """Discard the results so far."""
        self._stated, self._tracks = None, {}
        self.finish()

    def _box(self, data: bytes, at: int, end: int) -> int | None:
        """Read the box at `at`. Returns where the next one begins, None if it is incomplete."""
        size, kind = struct.unpack_from(">I4s", data, at)
        body = at + 8
        if size == 1:
            if end - at < 16:
                return None
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        if size == 0:  # the last box: it goes to the end of the file
            self.finish()
            return end
        if at + size < body:
            self.give_up()
            return end
        if kind in _PARENTS:
            self._enter(kind)
            return body
        return self._leaf(kind, data, body, at + size)

    def _enter(self, kind: bytes) -> None:
        if kind in (b"trak", b"traf"):
            self._track = _Track()

    def _leaf(self, kind: bytes, data: bytes, body: int, end: int) -> int | None:
        read = _READERS.get(kind)
        if read is None or end - body > _MAX_BODY_BYTES:
            return end
        if end > len(data):
            return None
        try:
            read(self, data[body:end])
        except struct.error:  # the box is shorter than its fields
            self.give_up()
        return end

    # One function for each box that is used. All begin with a version and flags.

    def read_mvhd(self, box: bytes) -> None:
        """The movie: its time scale and its duration."""
        self._scale, ticks = _scale_and_duration(box)
        self._state(ticks)

    def read_mehd(self, box: bytes) -> None:
        """The duration of all fragments together."""
        self._state(struct.unpack_from(">Q" if box[:1] == b"\1" else ">I", box, 4)[0])

    def _state(self, ticks: int) -> None:
        if self._scale and ticks not in _UNKNOWN:
            self._stated = ticks / self._scale
            self.finish()

    def read_tkhd(self, box: bytes) -> None:
        """The number of a track."""
        (number,) = struct.unpack_from(">I", box, 20 if box[:1] == b"\1" else 12)
        self._track = self._track_of(number)

    def read_mdhd(self, box: bytes) -> None:
        """The time scale of the track."""
        self._track.scale, _ = _scale_and_duration(box)

    def read_trex(self, box: bytes) -> None:
        """How long the samples of a track last unless a fragment says otherwise."""
        number, _, duration = struct.unpack_from(">III", box, 4)
        self._track_of(number).default_duration = duration

    def read_tfhd(self, box: bytes) -> None:
        """A fragment of a track begins."""
        flags, number = struct.unpack_from(">II", box)
        self._track = self._track_of(number)
        at = 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
        default = self._track.default_duration
        self._fragment_duration = struct.unpack_from(">I", box, at)[0] if flags & 0x8 else default

    def read_tfdt(self, box: bytes) -> None:
        """Where the fragment begins."""
        self._track.end = struct.unpack_from(">Q" if box[:1] == b"\1" else ">I", box, 4)[0]

    def read_trun(self, box: bytes) -> None:
        """The durations of samples."""
        flags, count = struct.unpack_from(">II", box)
        if not flags & 0x100:
            self._track.end += count * self._fragment_duration
            return
        at = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
        width = 4 * (flags & 0xF00).bit_count()
        samples = box[at : at + count * width]
        if len(samples) < count * width:
            raise struct.error
        self._track.end += sum(
            number for (number,) in struct.iter_unpack(f">I{width - 4}x", samples)
        )

    def _track_of(self, number: int) -> _Track:
        if len(self._tracks) < _MAX_TRACKS:
            return self._tracks.setdefault(number, _Track())
        return self._tracks.get(number) or _Track()


_READERS: Final = {
    b"mvhd": Mp4Reader.read_mvhd,
    b"mehd": Mp4Reader.read_mehd,
    b"tkhd": Mp4Reader.read_tkhd,
    b"mdhd": Mp4Reader.read_mdhd,
    b"trex": Mp4Reader.read_trex,
    b"tfhd": Mp4Reader.read_tfhd,
    b"tfdt": Mp4Reader.read_tfdt,
    b"trun": Mp4Reader.read_trun,
}


def _scale_and_duration(box: bytes) -> tuple[int, int]:
    """Time scale and duration of `mvhd` and `mdhd`."""
    fields: tuple[int, int] = (
        struct.unpack_from(">IQ", box, 20)
        if box[:1] == b"\1"
        else struct.unpack_from(">II", box, 12)
    )
    return fields
