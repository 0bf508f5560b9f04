"""Notices recordings that are missing from a list while the list is still being read.

A list has almost the same order each time. So if a recording was between two others in the previous
list and is not between them now, it has ended or moved. The caller finds out which. A wrong guess
costs one request.
"""

from collections.abc import Sequence


class AbsenceDetector:
    """Compares each reading of a list, from its end to its beginning, with the previous reading.

    For each reading: `begin`, `add_page` with each page, and `end` if every page was read.
    """

    def __init__(self) -> None:
        self._order: list[str] = []
        self._places: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """Begin a reading. A reading without `end` does not change the known order."""
        self._listed: set[str] = set()
        self._absent: set[str] = set()
        self._pages: list[Sequence[str]] = []
        # Every recording from this place of the known order on should be listed by now.
        self._passed = len(self._order)
        self._maybe_absent: list[str] = []
        self._is_in_order = True

    def add_page(self, page: Sequence[str]) -> list[str]:
        """Returns absent recordings: they should be on the pages so far, and are not.

        Pages may have moved by a few recordings since the last reading. So a recording counts as
        absent only after one more page without it. While later pages still contain recordings that
        seemed absent, no recording counts as absent.
        """
        if not page:
            return []
        self._pages.append(page)
        self._listed.update(page)
        if not self._absent.isdisjoint(page):
            self._is_in_order = False
        absent = [recording for recording in self._maybe_absent if recording not in self._listed]
        is_certain = len(absent) == len(self._maybe_absent)
        self._maybe_absent = self._newly_passed(page) + ([] if is_certain else absent)
        if not (is_certain and self._is_in_order):
            return []
        self._absent.update(absent)
        return absent

    def is_accounted_for(self, recording_id: str) -> bool:
        """Whether the recording was listed in this reading or has been returned as absent."""
        return recording_id in self._listed or recording_id in self._absent

    def end(self) -> None:
        """Every page was read: remember the order until the next reading."""
        # If two pages have the same recording, the page read later has its present place.
        pages = reversed(self._pages)
        self._order = list(dict.fromkeys(recording for page in pages for recording in page))
        self._places = {recording: place for place, recording in enumerate(self._order)}

    def _newly_passed(self, page: Sequence[str]) -> list[str]:
        places = (self._places.get(recording, self._passed) for recording in page)
        lowest = min(self._passed, *places)
        between, self._passed = self._order[lowest : self._passed], lowest
        return [recording for recording in between if recording not in self._listed]
