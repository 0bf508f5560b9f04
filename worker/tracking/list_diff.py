"""Who is absent from a list, noticed while its pages are read rather than when all are.

A list comes in much the same order each time, so what stood last time between a page's recordings
and those that came before has its turn no more: it ended, or it moved. Whether it did is for others
to ask; here it is only noticed, and a wrong guess costs them one request.
"""

from collections.abc import Sequence


class AbsenceDetector:
    """Compares each reading of a list, from its end to its beginning, with the one before.

    `begin` each reading, `add_page` its pages, and `end` it when none is left.
    """

    def __init__(self) -> None:
        self._order: list[str] = []
        self._places: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        """A reading begins. One that did not end tells nothing of the order."""
        self._listed: set[str] = set()
        self._missed: set[str] = set()
        self._heard: list[Sequence[str]] = []
        # From this place on, all have had their turn.
        self._passed = len(self._order)
        self._suspects: list[str] = []
        self._is_in_order = True

    def add_page(self, page: Sequence[str]) -> list[str]:
        """Those whose turn was before this page's, and who came neither then nor now.

        A page may have moved by a few recordings since: nobody is missed before another page has
        come as well, nor while pages still bring some of those who were thought to be absent.
        """
        if not page:
            return []
        self._heard.append(page)
        self._listed.update(page)
        if not self._missed.isdisjoint(page):
            self._is_in_order = False
        absent = [one for one in self._suspects if one not in self._listed]
        is_certain = len(absent) == len(self._suspects)
        self._suspects = self._newly_passed(page) + ([] if is_certain else absent)
        if not (is_certain and self._is_in_order):
            return []
        self._missed.update(absent)
        return absent

    def is_accounted_for(self, recording_id: str) -> bool:
        """Whether it was listed in this reading, or is missed already."""
        return recording_id in self._listed or recording_id in self._missed

    def end(self) -> None:
        """The list was read to its end: so its order is known until the next time."""
        # Of two pages that have one of them, the later read one tells where it stands now.
        self._order = list(dict.fromkeys(one for page in reversed(self._heard) for one in page))
        self._places = {one: place for place, one in enumerate(self._order)}

    def _newly_passed(self, page: Sequence[str]) -> list[str]:
        places = (self._places.get(one, self._passed) for one in page)
        lowest = min(self._passed, *places)
        between, self._passed = self._order[lowest : self._passed], lowest
        return [one for one in between if one not in self._listed]
