"""Which pages of a list are read, and which of their recordings count."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from recording_schemas import Status
from tests.unit.api_client import MEETING, answered_client
from tests.unit.api_client import recording_row as row
from worker.domain.errors import Unavailable
from worker.realtimekit.fetch import fetch_all_recordings


class StubList:
    """The API's list of these recordings. Each page has at most `cap` of them."""

    def __init__(self, *rows: dict[str, Any], cap: int = 100, total: int | None = None) -> None:
        self.rows, self.cap, self.total = rows, cap, total
        self.requests = 0

    async def numbers(self, *, whole: bool = False, statuses: tuple[Status, ...] = ()) -> list[int]:
        found = await fetch_all_recordings(
            answered_client(self._answer), meeting_id=MEETING, statuses=statuses, whole=whole
        )
        return [UUID(snapshot.recording_id).int for snapshot in found]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        first = (int(request.url.params["page_no"]) - 1) * self.cap
        body: dict[str, Any] = {"success": True, "data": self.rows[first : first + self.cap]}
        if self.total is not None:
            body["paging"] = {"total_count": self.total, "start_offset": first + 1}
        return httpx.Response(200, json=body)


@pytest.mark.parametrize(
    ("count", "cap", "total", "requests"),
    [
        (0, 100, 0, 1),
        (19, 100, 19, 1),
        (19, 100, None, 3),  # page 0 is empty, and a page without news shows the end
        (45, 100, 45, 2),
        (45, 20, 45, 3),
        (45, 20, 20, 3),  # the API counts those of the page
        (45, 20, None, 5),
        (100, 100, 100, 2),
        (150, 100, 50, 3),  # the API counts too few
        (19, 100, 90, 2),  # the API counts too many
    ],
)
async def test_a_list_is_read_completely_whatever_its_pages_and_its_total(
    count: int, cap: int, total: int | None, requests: int
) -> None:
    listed = StubList(*map(row, range(1, count + 1)), cap=cap, total=total)
    assert await listed.numbers() == list(range(1, count + 1))
    assert listed.requests == requests


async def test_only_the_requested_meeting_and_statuses_count_although_the_api_lists_others() -> (
    None
):
    listed = StubList(
        row(1),
        row(2, meeting_id=MEETING.upper()),
        row(3, meeting_id="11111111-1111-4111-8111-111111111111"),
        row(4, meeting_id=None),
        row(5, status="UPLOADED"),
        row(6, status="A_NEW_ONE"),
    )
    assert await listed.numbers(statuses=(Status.RECORDING,)) == [1, 2, 4, 6]
    assert await listed.numbers() == [1, 2, 4, 5, 6]


async def test_a_whole_list_has_no_recording_that_cannot_be_identified() -> None:
    listed = StubList(row(1), row(2) | {"id": None})
    assert await listed.numbers() == [1]
    with pytest.raises(Unavailable, match="1 recordings without a usable id"):
        await listed.numbers(whole=True)
