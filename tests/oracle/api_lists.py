"""The API's lists: recordings, sessions and participants, page by page."""

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.oracle import views
from tests.oracle.answers import Answer
from tests.oracle.behaviour import Behaviour
from tests.oracle.truth import Meeting, Recording, Truth

Query = Mapping[str, list[str]]

DEFAULT_PAGE: Final = 20
LONGEST_PAGE: Final = 20
"""Of lists of sessions and people. That of recordings is the behaviour's `max_per_page`."""


class ApiLists:
    """Each method answers one list for a query string."""

    def __init__(self, truth: Truth, behaviour: Behaviour, dice: random.Random) -> None:
        self._truth = truth
        self._behaviour = behaviour
        self._dice = dice

    def recordings(self, app: str, query: Query) -> Answer:
        """The recordings of an app, as they were `list_lag` seconds ago."""
        at = time.time() - self._behaviour.list_lag
        found = [
            recording
            for recording in self._truth.recordings.values()
            if recording.app == app
            and recording.began <= at
            and not recording.is_hidden(at)
            and _matches(recording, at, query)
        ]
        found.sort(
            key=lambda recording: (recording.began, recording.id),
            reverse=_one(query, "sort_order") != "ASC",
        )
        has_gaps = "meeting_id" not in query
        if found and has_gaps and self._dice.random() < self._behaviour.gap_chance:
            found.remove(self._dice.choice(found))
        page, paging = self._page(found, query, self._behaviour.max_per_page)
        rows = [views.row_json(recording, at, self._behaviour) for recording in page]
        shown = tuple((row["id"], row["status"]) for row in rows)
        return Answer(200, {"success": True, "data": rows, **paging}, shown)

    def sessions(self, app: str, query: Query) -> Answer:
        """The sessions of an app. Unlike `associated_id`, `meeting_id` is ignored."""
        wanted, status = _one(query, "associated_id"), _one(query, "status")
        rows = [
            views.session_json(meeting)
            for meeting in self._truth.meetings.values()
            if meeting.app == app and meeting.began and wanted in {None, meeting.id}
        ]
        page, paging = self._page([row for row in rows if status in {None, row["status"]}], query)
        return Answer(200, {"success": True, "data": {"sessions": page}, **paging})

    def session_participants(self, meeting: Meeting, query: Query) -> Answer:
        """A row for each stay, as they were `people_lag` seconds ago."""
        at = time.time() - self._behaviour.people_lag
        rows = [
            views.stay_json(person, stay, at)
            for person in meeting.people
            for stay in person.stays
            if stay.joined <= at
        ]
        page, paging = self._page(rows, query)
        return Answer(200, {"success": True, "data": {"participants": page}, **paging})

    def meeting_participants(self, meeting: Meeting, query: Query) -> Answer:
        """A row for each person, whether they have joined or not."""
        at = time.time() - self._behaviour.people_lag
        rows = [views.person_json(person) for person in meeting.people if person.created <= at]
        page, paging = self._page(rows, query)
        return Answer(200, {"success": True, "data": page, **paging})

    def _page(
        self, rows: Sequence[Any], query: Query, longest: int = LONGEST_PAGE
    ) -> tuple[Sequence[Any], views.Json]:
        """One page of the rows, and the paging beside it. A page before the first one is that."""
        size = min(int(_one(query, "per_page") or 0) or DEFAULT_PAGE, longest)
        number = int(_one(query, "page_no") or self._behaviour.first_page)
        begin = max(number - self._behaviour.first_page, 0) * size
        page = rows[begin : begin + size]
        if not self._behaviour.has_paging:
            return page, {}
        offsets = {"start_offset": begin + 1 if page else 0, "end_offset": begin + len(page)}
        return page, {"paging": {"total_count": len(rows), **offsets}}


def _matches(recording: Recording, at: float, query: Query) -> bool:
    statuses = {status for each in query.get("status", []) for status in each.split(",")}
    begin, end = _one(query, "start_time"), _one(query, "end_time")
    invoked = views.instant(recording.began) or ""
    return (
        _one(query, "meeting_id") in {None, recording.meeting.id}
        and (not statuses or recording.status_at(at) in statuses)
        and (begin is None or begin <= invoked)
        and (end is None or invoked <= end)
    )


def _one(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None
