"""The duration of a WebM or Matroska file: Info/Duration, else the times of its blocks.

A file that was written live states no duration, and the size of its segment and its clusters may be
unknown. Sources: EBML (RFC 8794), Matroska (RFC 9559).

The ids that are used here are unique over all levels. So this reader enters master elements simply
by reading on, and need not know where they end.
"""

import math
import struct
from typing import Final

from worker.archive.container.element_reader import ElementReader, stated_seconds

MAGIC: Final = bytes.fromhex("1a45dfa3")

_SEGMENT, _INFO, _CLUSTER, _BLOCK_GROUP = 0x18538067, 0x1549A966, 0x1F43B675, 0xA0
_MASTERS: Final = {_SEGMENT, _INFO, _CLUSTER, _BLOCK_GROUP}
_DURATION, _SCALE, _TIMESTAMP, _BLOCK_DURATION = 0x4489, 0x2AD7B1, 0xE7, 0x9B
_VALUES: Final = {_DURATION, _SCALE, _TIMESTAMP, _BLOCK_DURATION}
_BLOCKS: Final = {0xA3, 0xA1}

_WIDTHS: Final = (0, *(9 - number.bit_length() for number in range(1, 256)))
"""The width of an id or a size by its first byte, 0 if there is none."""
_MAX_ID_WIDTH: Final = 4
_MAX_TRACK_WIDTH: Final = 2


class WebmReader(ElementReader):
    """Reads until the stated duration, else to the end."""

    def __init__(self) -> None:
        super().__init__()
        self._scale = 1_000_000
        self._stated: float | None = None
        self._cluster = 0
        self._first: int | None = None
        self._last: int | None = None
        self._latest_block = 0

    @property
    def seconds(self) -> float | None:
        """The stated duration, else from the first block to the last one."""
        ticks = self._stated
        if ticks is None and self._first is not None and self._last is not None:
            ticks = float(self._last - self._first)
        return stated_seconds((ticks or 0.0) * self._scale / 1e9)

    def parse(self, data: bytes) -> int:
        """Read complete elements."""
        at, end = 0, len(data)
        while at < end and not self.is_done:
            following = self._element(data, at, end)
            if following is None:
                break
            at = following
            self.count()
        return at

    def give_up(self) -> None:
        """Discard the results so far."""
        self._stated = self._first = self._last = None
        self.finish()

    def _element(self, data: bytes, at: int, end: int) -> int | None:
        """Read the element at `at`. Returns where the next one begins, None if it is incomplete."""
        id_width = _WIDTHS[data[at]]
        size_at = at + id_width
        if size_at >= end:
            return None if 0 < id_width <= _MAX_ID_WIDTH else self._stop(end)
        size_width = _WIDTHS[data[size_at]]
        if not (0 < id_width <= _MAX_ID_WIDTH and size_width):
            return self._stop(end)
        body = size_at + size_width
        if body > end:
            return None
        number = int.from_bytes(data[at:size_at])
        if number in _MASTERS:
            return body
        unknown = (1 << 7 * size_width) - 1
        size = int.from_bytes(data[size_at:body]) & unknown
        if size == unknown:
            return self._stop(end)
        return self._leaf(number, data, body, size)

    def _leaf(self, number: int, data: bytes, body: int, size: int) -> int | None:
        if number in _BLOCKS:
            if body + min(size, _MAX_TRACK_WIDTH + 2) > len(data):
                return None
            self._block(data, body, size)
        elif number in _VALUES and size <= 8:
            if body + size > len(data):
                return None
            self._value(number, data[body : body + size])
        return body + size

    def _block(self, data: bytes, body: int, size: int) -> None:
        """A block begins with its track and its time, which is relative to its cluster."""
        width = _WIDTHS[data[body]] if size else 0
        if not 0 < width <= _MAX_TRACK_WIDTH or size < width + 2:
            return
        time = int.from_bytes(data[body + width : body + width + 2], signed=True)
        self._latest_block = self._cluster + time
        self._see(self._latest_block)

    def _value(self, number: int, value: bytes) -> None:
        if number == _DURATION and len(value) in (4, 8):
            (ticks,) = struct.unpack(">d" if len(value) == 8 else ">f", value)
            self._stated = ticks if math.isfinite(ticks) and 0 < ticks < 1e15 else None
        elif number == _SCALE:
            self._scale = int.from_bytes(value) or self._scale
        elif number == _TIMESTAMP:
            # Info is before the clusters, so its duration and its scale are known now, or never.
            self._cluster = int.from_bytes(value)
            if self._stated is not None:
                self.finish()
        elif number == _BLOCK_DURATION:
            self._see(self._latest_block + int.from_bytes(value))

    def _see(self, time: int) -> None:
        self._first = time if self._first is None else min(self._first, time)
        self._last = time if self._last is None else max(self._last, time)

    def _stop(self, end: int) -> int:
        """The rest is unreadable. A truncated file never gets here."""
        self.give_up()
        return end
