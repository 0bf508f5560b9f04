"""Lists of an API that counts its pages from 0, and of one that counts them from 1."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.unit.api_client import MEETING, answered_client
from tests.unit.api_client import recording_row as row
from worker.domain.errors import Refused, Unavailable
from worker.realtimekit.client import PAGE_SIZE, RealtimeKitClient
from worker.realtimekit.fetch import fetch_all_recordings
from worker.realtimekit.page_numbers import Position, view_of

SESSION = str(uuid4())


class Api:
    """Lists `count` items, whose first page has the number `first`.

    Without `offsets` it leaves out their places in the list, without `paging` also their number.
    It takes page 0 for page 1 if its first page is 1. `refused` are pages that it refuses,
    `uncounted` is by how many its count exceeds its items. After each request it has the next of
    `counts` items, if any are left. `damage` is added to each item. `cut` is the length of its
    pages, if that is shorter than was requested.
    """

    def __init__(
        self,
        first: int,
        count: int,
        *,
        offsets: bool = True,
        paging: bool = True,
        refused: tuple[int, ...] = (),
        uncounted: int = 0,
        counts: tuple[int, ...] = (),
        damage: bytes = b"",
        cut: int = PAGE_SIZE,
    ) -> None:
        self.first, self.count = first, count
        self.offsets, self.paging = offsets, paging
        self.refused, self.uncounted = refused, uncounted
        self.counts, self.damage, self.cut = list(counts), damage, cut
        self.pages: list[int] = []
        self.failing: set[int] = set()
        self.shift = 0
        self.client = answered_client(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        page_no = int(request.url.params["page_no"])
        self.pages.append(page_no)
        if page_no in self.failing:
            return httpx.Response(503)
        if page_no in self.refused:
            return httpx.Response(400, json={"success": False})
        start = max(page_no - self.first, 0) * self.cut
        numbers = range(start, self.count)[: self.cut]
        paging = {"total_count": self.count + self.uncounted}
        if self.offsets:
            paging |= {"start_offset": start + 1, "end_offset": start + len(numbers)}
        shifted = self.shift if len(self.pages) > 1 else 0  # the first items are others now
        data = self._data(
            request.url.path, [row(number + 1 + shifted, x="damage") for number in numbers]
        )
        if self.counts:
            self.count = self.counts.pop(0)
        more = {"paging": paging} if self.paging else {}
        body = json.dumps({"success": True, "data": data, **more}).encode()
        return httpx.Response(200, content=body.replace(b'"damage"', self.damage or b"null"))

    @staticmethod
    def _data(path: str, rows: list[dict[str, Any]]) -> object:
        if path.endswith(f"/sessions/{SESSION}/participants"):
            return {"participants": rows}
        return {"sessions": rows} if path.endswith("/sessions") else rows


async def recordings(client: RealtimeKitClient) -> int:
    return len(await fetch_all_recordings(client, meeting_id=MEETING))


async def session_participants(client: RealtimeKitClient) -> int:
    return len(await client.list_participants(SESSION))


async def meeting_participants(client: RealtimeKitClient) -> int:
    return len((await client.list_meeting_participants(MEETING, page_no=1)).participants)


async def live_sessions(client: RealtimeKitClient) -> int:
    return len((await client.list_live_sessions(page_no=1)).sessions)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "read", [recordings, session_participants, meeting_participants, live_sessions]
)
async def test_the_first_page_of_each_list_is_read_whatever_its_number(
    read: Any, first: int
) -> None:
    api = Api(first, 7)
    assert await read(api.client) == 7
    assert await read(api.client) == 7
    assert api.pages == ([1, 0, 1, 0] if first == 0 else [1, 1])  # it is found out once


@pytest.mark.parametrize("shown", ["offsets", "a count", "nothing"])
@pytest.mark.parametrize("count", [1, 100, 101, 150, 250])
@pytest.mark.parametrize("first", [0, 1])
async def test_no_recording_of_a_longer_list_is_missing_whatever_its_first_page(
    first: int, count: int, shown: str
) -> None:
    api = Api(first, count, offsets=shown == "offsets", paging=shown != "nothing")
    assert await recordings(api.client) == count
    api.pages.clear()
    assert await recordings(api.client) == count
    assert api.pages[0] == first  # it is found out once


@pytest.mark.parametrize(
    "read", [recordings, session_participants, meeting_participants, live_sessions]
)
@pytest.mark.parametrize("first", [0, 1])
async def test_each_list_without_paging_is_read_whatever_the_number_of_its_first_page(
    read: Any, first: int
) -> None:
    api = Api(first, 7, paging=False)
    assert await read(api.client) == 7
    assert await read(api.client) == 7


@pytest.mark.parametrize("first", [0, 1])
async def test_no_stay_is_missing_if_the_api_cuts_pages_and_sends_no_paging(first: int) -> None:
    api = Api(first, 50, paging=False, cut=20)
    assert await session_participants(api.client) == 50


async def test_a_refused_page_behind_twenty_stays_is_the_end_unless_the_api_counts_more() -> None:
    assert await session_participants(Api(1, 20, paging=False, refused=(2,)).client) == 20
    with pytest.raises(Refused):
        await session_participants(Api(1, 200, refused=(2,)).client)


async def test_a_short_list_of_stays_without_paging_costs_one_request() -> None:
    api = Api(1, 7, paging=False)
    await session_participants(api.client)  # finds out the first page
    api.pages.clear()
    assert await session_participants(api.client) == 7
    assert api.pages == [1]


@pytest.mark.parametrize("first", [0, 1])
async def test_an_empty_list_without_paging_decides_nothing(first: int) -> None:
    api = Api(first, 0, paging=False)
    assert await recordings(api.client) == 0
    api.count = 3
    assert await recordings(api.client) == 3


@pytest.mark.parametrize(("before", "after"), [(101, 100), (150, 149), (101, 102), (250, 251)])
@pytest.mark.parametrize("first", [0, 1])
async def test_a_list_without_paging_that_changes_between_two_requests_does_not_deceive(
    first: int, before: int, after: int
) -> None:
    api = Api(first, before, paging=False, counts=(after,))
    api.shift = before - after
    await recordings(api.client)
    assert await recordings(api.client) == after


async def test_a_list_whose_items_are_all_replaced_between_two_requests_does_not_deceive() -> None:
    api = Api(1, 2, paging=False)
    api.shift = 2
    await recordings(api.client)
    api.count, api.shift = 250, 0
    assert await recordings(api.client) == 250


async def test_a_list_that_counts_the_items_of_an_empty_page_1_is_read_from_page_0() -> None:
    api = Api(0, 3, offsets=False, uncounted=-3)
    assert await recordings(api.client) == 3


async def test_an_api_without_paging_that_refuses_page_0_is_asked_for_it_once() -> None:
    api = Api(1, 150, paging=False, refused=(0,))
    assert await recordings(api.client) == 150
    assert await recordings(api.client) == 150
    assert api.pages.count(0) == 1


async def test_an_empty_list_costs_one_request_and_says_nothing_of_the_first_page() -> None:
    api = Api(0, 0)
    assert await recordings(api.client) == 0
    assert api.pages == [1]
    api.count = 3
    assert await recordings(api.client) == 3
    assert api.pages == [1, 1, 0, 1]


@pytest.mark.parametrize("first", [0, 1])
async def test_an_empty_list_that_the_api_counts_wrongly_decides_nothing(first: int) -> None:
    api = Api(first, 0, uncounted=5)
    assert await recordings(api.client) == 0
    api.count, api.pages = 3, []
    assert await recordings(api.client) == 3
    assert await recordings(api.client) == 3
    assert api.pages == ([1, 0, 1, 1, 0, 1] if first == 0 else [1, 2, 1, 2])


async def test_an_api_that_refuses_page_0_is_asked_for_it_once() -> None:
    api = Api(1, 0, uncounted=5, refused=(0,))
    assert await recordings(api.client) == 0
    assert await recordings(api.client) == 0
    assert api.pages == [1, 0, 1]


async def test_a_list_that_becomes_empty_between_two_requests_decides_nothing() -> None:
    api = Api(0, 1, counts=(0,))
    assert await recordings(api.client) == 0
    api.count = 3
    assert await recordings(api.client) == 3


async def test_a_recording_that_begins_between_two_requests_makes_no_page_0() -> None:
    api = Api(1, 0, uncounted=1, counts=(150,))  # this API takes page 0 for page 1
    assert await recordings(api.client) == 150
    assert await recordings(api.client) == 150
    assert api.pages == [1, 0, 1, 2, 3, 1, 2, 3]


async def test_each_list_has_a_first_page_of_its_own() -> None:
    api = Api(1, 7)
    assert await meeting_participants(api.client) == 7
    api.first = 0
    assert await recordings(api.client) == 7
    api.first = 1
    assert await session_participants(api.client) == 7
    assert await meeting_participants(api.client) == 7


@pytest.mark.parametrize("damage", [b'"\xff"', b"1e999", b"9" * 5_000])
@pytest.mark.parametrize("first", [0, 1])
async def test_a_damaged_field_that_is_not_used_does_not_hide_the_list(
    first: int, damage: bytes
) -> None:
    assert await recordings(Api(first, 3, damage=damage).client) == 3


async def test_a_failed_request_for_page_0_is_made_again() -> None:
    api = Api(0, 3)
    api.failing = {0}
    with pytest.raises(Unavailable):
        await recordings(api.client)
    api.failing = set()
    assert await recordings(api.client) == 3


@pytest.mark.parametrize("view", ["with_priority", "with_check"])
async def test_all_views_of_a_client_know_the_number_of_the_first_page(view: str) -> None:
    api = Api(0, 2)

    async def check() -> None: ...

    other = api.client.with_check(check) if view == "with_check" else api.client.with_priority(0)  # type: ignore[arg-type]
    assert await recordings(other) == 2
    assert await recordings(api.client) == 2
    assert api.pages == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("body", "position"),
    [
        ({"data": [1]}, Position.UNKNOWN),
        ({"data": [1], "paging": {"start_offset": 0}}, Position.FIRST),
        ({"data": [1], "paging": {"start_offset": 1}}, Position.FIRST),
        ({"data": [1], "paging": {"start_offset": "101"}}, Position.LATER),
        ({"data": [1], "paging": {"start_offset": "last"}}, Position.UNKNOWN),
        ({"data": [1], "paging": {"start_offset": 101}}, Position.LATER),
        ({"data": {"sessions": [1], "paging": {"start_offset": 101}}}, Position.LATER),
        ({"data": [], "paging": {"total_count": 1}}, Position.BEYOND_THE_END),
        ({"data": {"participants": []}, "paging": {"total_count": 1}}, Position.BEYOND_THE_END),
        ({"data": [], "paging": {"total_count": 0, "start_offset": 101}}, Position.NO_LIST),
        ({"data": [], "paging": {"total_count": 0}}, Position.BEYOND_THE_END),
        ({"data": []}, Position.BEYOND_THE_END),
        ({"data": {"sessions": []}}, Position.BEYOND_THE_END),
        ({"data": {}}, Position.NO_LIST),
        ({"data": None}, Position.NO_LIST),
        ({"data": "text", "paging": []}, Position.NO_LIST),
        ([], Position.NO_LIST),
    ],
)
def test_a_page_shows_whether_another_page_comes_before_it(body: Any, position: Position) -> None:
    assert view_of(json.dumps(body).encode()).position is position
