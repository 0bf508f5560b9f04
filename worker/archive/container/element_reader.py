"""Reads a file of nested elements from a stream of chunks, with limited memory."""

from abc import ABC, abstractmethod
from typing import Final

MAX_ELEMENTS: Final = 5_000_000
"""A hostile file of tiny elements would cost a second of CPU for each million."""


MAX_SECONDS: Final = 1e9


def stated_seconds(seconds: float) -> float | None:
    """A duration with milliseconds, None if it is zero or impossible."""
    rounded = round(seconds, 3) if 0 < seconds < MAX_SECONDS else 0.0
    return rounded or None


class ElementReader(ABC):
    """Passes data on to `parse` from the beginning of an element."""

    def __init__(self) -> None:
        self._rest = b""
        self._skip = 0
        self._elements = 0
        self.is_done = False

    @property
    @abstractmethod
    def seconds(self) -> float | None:
        """The duration, as far as it is known now."""

    @abstractmethod
    def parse(self, data: bytes) -> int:
        """Read the elements in `data`. Returns where the first incomplete one begins.

        That may be behind the end of `data`, if bytes must be skipped. Incomplete elements are kept
        until they are complete, so a reader skips large ones.
        """

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if self.is_done:
            return
        if self._skip >= len(chunk):
            self._skip -= len(chunk)
            return
        data = self._rest + chunk[self._skip :]
        at = self.parse(data)
        self._skip, self._rest = max(0, at - len(data)), data[at:]

    def count(self) -> None:
        """Note one more element. After `MAX_ELEMENTS` the duration stays unknown."""
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            self.give_up()

    def finish(self) -> None:
        """Read no further. The duration known now stays."""
        self.is_done, self._rest = True, b""

    @abstractmethod
    def give_up(self) -> None:
        """Read no further, and state no duration: the file has another format."""
