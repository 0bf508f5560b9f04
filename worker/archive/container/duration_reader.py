"""Chooses the reader of a container by the first bytes of the file."""

from worker.archive.container.element_reader import ElementReader
from worker.archive.container.mp4 import FIRST_BOXES, Mp4Reader
from worker.archive.container.webm import MAGIC, WebmReader

_FIRST_BYTES = 8


class DurationReader:
    """Takes the bytes of a file in order. Any bytes are allowed: nothing here raises."""

    def __init__(self) -> None:
        self._start = b""
        self._reader: ElementReader | None = None
        self._is_known = False

    @property
    def seconds(self) -> float | None:
        """The duration in seconds, None if the container does not state it or is another one."""
        return self._reader.seconds if self._reader else None

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        if self._is_known:
            if self._reader is not None:
                self._reader.feed(chunk)
            return
        self._start += chunk
        if len(self._start) >= _FIRST_BYTES:
            self._is_known, start = True, self._start
            self._reader, self._start = _reader_of(start), b""
            self.feed(start)


def _reader_of(start: bytes) -> ElementReader | None:
    if start.startswith(MAGIC):
        return WebmReader()
    return Mp4Reader() if start[4:8] in FIRST_BOXES else None
