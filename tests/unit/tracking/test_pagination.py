"""Reading a list that changes between pages, from an API that may break every rule."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_schemas import Status
from tests.unit.api_client import answered_client
from worker.domain.errors import ApiError
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import RecordingPage
from worker.tracking.pagination import PageIterator, is_last, oldest_invoked_time

T0 = datetime(2026, 11, 1, tzinfo=UTC)


class ListApi:
    """The list endpoint, at its wire. After each answer `change` is called."""

    def __init__(self, live: list[int]) -> None:
        self.live = live
        self.cap = 100
        self.sorts = True
        self.pages = True
        self.paging_fields: tuple[str, ...] = ("total_count", "start_offset", "end_offset")
        self.requested_pages: list[int] = []
        self.change: Callable[[], None] = lambda: None
        self.answers: Callable[[httpx.Request], httpx.Response] = self.answer

    def client(self) -> RealtimeKitClient:
        return answered_client(lambda request: self.answers(request))

    def answer(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        number = int(query["page_no"]) if self.pages else 1
        length = min(int(query["per_page"]), self.cap)
        descends = query.get("sort_order") == "DESC" if self.sorts else True
        shown = sorted(self.live, reverse=descends)
        first = (number - 1) * length
        items = shown[first : first + length]
        paging = {
            "total_count": len(shown),
            "start_offset": first + 1,
            "end_offset": first + len(items),
        }
        answer: dict[str, Any] = {"success": True, "data": [row_of(item) for item in items]}
        if self.paging_fields:
            answer["paging"] = {name: paging[name] for name in self.paging_fields}
        self.requested_pages.append(int(query["page_no"]))
        self.change()
        return httpx.Response(200, json=answer)


def row_of(number: int) -> dict[str, Any]:
    invoked = (T0 + timedelta(seconds=number)).isoformat()
    return {"id": f"r{number}", "status": "RECORDING", "type": "TRACK", "invoked_time": invoked}


async def listed(pages: AsyncIterator[RecordingPage]) -> list[int]:
    return [
        int(recording.recording_id[1:]) async for page in pages for recording in page.recordings
    ]


def read(api: ListApi, *, guess: int = 1) -> set[int]:
    return set(asyncio.run(listed(PageIterator(api.client(), guess=guess).oldest_first())))


@pytest.mark.parametrize(
    ("live", "at", "status", "is_read"),
    [
        (3_000, range(20, 21), 503, True),
        (3_000, range(20, 22), 503, True),
        (3_000, range(29, 30), 500, True),
        (3_000, range(20, 23), 503, False),
        (3_000, range(5, 6), 503, False),  # the next sweep is soon enough
        (500, range(3, 4), 503, False),
        (3_000, range(20, 21), 429, False),
        (3_000, range(20, 21), 401, False),
        (3_000, range(20, 21), 400, False),
    ],
)
def test_a_page_of_a_long_list_that_the_api_does_not_answer_is_requested_again(
    live: int, at: range, status: int, is_read: bool
) -> None:
    api, pauses = ListApi(list(range(live))), list[float]()
    count = itertools.count()
    api.answers = lambda request: (
        httpx.Response(status) if next(count) in at else api.answer(request)
    )

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    pages = PageIterator(api.client(), guess=live // 100, sleep=sleep)
    if not is_read:
        with pytest.raises(ApiError):
            asyncio.run(listed(pages.oldest_first()))
        return
    assert sorted(asyncio.run(listed(pages.oldest_first()))) == list(range(live))
    assert pauses == [1.0, 5.0][: len(at)]
    assert pages.requests == live // 100 + len(at)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("requested", "requests"), [(None, 21), ("2", 31), ("600", 21)], ids=["none", "short", "long"]
)
def test_a_page_that_the_api_refuses_for_now_is_requested_again_only_if_it_says_when(
    requested: str | None, requests: int, status: int
) -> None:
    api, count = ListApi(list(range(3_000))), itertools.count()
    body = {"success": False, "error": {"code": status, "message": "not now"}}
    headers = {} if requested is None else {"retry-after": requested}
    refused = httpx.Response(status, json=body, headers=headers)
    api.answers = lambda request: refused if next(count) == 20 else api.answer(request)

    async def sleep(_seconds: float) -> None:
        pass

    pages = PageIterator(api.client(), guess=30, sleep=sleep)
    with suppress(ApiError):
        asyncio.run(listed(pages.oldest_first()))

    assert pages.requests == requests


@pytest.mark.parametrize(
    ("requested", "pauses"), [("0", [1.0]), ("1", [1.0]), ("3", [3.0]), ("6", []), ("600", [])]
)
def test_a_page_is_requested_again_only_after_the_pause_that_the_api_asked_for(
    requested: str, pauses: list[float]
) -> None:
    api, slept, count = ListApi(list(range(3_000))), list[float](), itertools.count()
    refused = httpx.Response(503, headers={"retry-after": requested})
    api.answers = lambda request: refused if next(count) == 20 else api.answer(request)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    pages = PageIterator(api.client(), guess=30, sleep=sleep)
    if pauses:
        assert len(asyncio.run(listed(pages.oldest_first()))) == 3_000
    else:
        with pytest.raises(ApiError):
            asyncio.run(listed(pages.oldest_first()))
        assert pages.requests == 21
    assert slept == pauses


def test_a_short_last_page_does_not_count_as_the_length_of_a_page() -> None:
    # 55 recordings on ten pages of six. Some end after each answer, until page 8 is empty.
    api = ListApi(list(range(55)))
    api.cap = 6
    ends = [range(6), (), range(6, 13), (), (13,)]

    def change() -> None:
        ended = ends.pop(0) if ends else ()
        api.live = [recording for recording in api.live if recording not in ended]

    api.change = change
    assert read(api, guess=10) >= set(range(14, 55))


changes = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 60),
    cap=st.integers(1, 20),
    guess=st.integers(0, 12),
    script=changes,
    choice=st.randoms(use_true_random=False),
)
def test_every_recording_that_stays_live_is_listed_while_others_end_and_begin(
    count: int, cap: int, guess: int, script: list[tuple[int, int]], choice: Any
) -> None:
    api = ListApi(list(range(count)))
    api.cap = cap
    steady = set(api.live)

    def change() -> None:
        ends, begins = script.pop(0) if script else (0, 0)
        for ended in choice.sample(api.live, min(ends, len(api.live))):
            api.live.remove(ended)
            steady.discard(ended)
        newest = max(api.live, default=count) + 1
        api.live += range(newest, newest + begins)

    api.change = change
    assert read(api, guess=guess) >= steady


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 60),
    cap=st.integers(1, 20),
    guess=st.integers(0, 12),
    sorts=st.booleans(),
    pages=st.booleans(),
    paging_fields=st.sets(st.sampled_from(["total_count", "start_offset", "end_offset"])),
)
def test_an_unchanging_list_is_read_completely_however_it_is_numbered_and_sorted(
    count: int, cap: int, guess: int, sorts: bool, pages: bool, paging_fields: set[str]
) -> None:
    api = ListApi(list(range(count)))
    api.cap, api.sorts, api.pages, api.paging_fields = cap, sorts, pages, tuple(paging_fields)
    found = read(api, guess=guess)
    if pages:
        assert found == set(range(count))
    assert len(api.requested_pages) <= count // cap + 6


@settings(max_examples=100, deadline=None)
@given(
    answers=st.lists(
        st.tuples(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 10**12)),
        min_size=1,
        max_size=6,
    )
)
def test_reading_a_nonsensical_list_ends(answers: list[tuple[list[int], int]]) -> None:
    request_count = 0

    def nonsense(_request: httpx.Request) -> httpx.Response:
        nonlocal request_count
        ids, total = answers[request_count % len(answers)]
        request_count += 1
        paging = {"total_count": total, "start_offset": 0, "end_offset": 0}
        return httpx.Response(
            200,
            json={"success": True, "data": [row_of(number) for number in ids], "paging": paging},
        )

    api = ListApi([])
    api.answers = nonsense
    read(api)
    assert request_count <= 60


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (100, 1), (250, 3), (1000, 10)])
def test_a_list_of_known_length_costs_one_request_for_each_page(count: int, requests: int) -> None:
    api = ListApi(list(range(count)))
    read(api, guess=max(-(-count // 100), 1))
    assert len(api.requested_pages) == requests


def test_pages_are_read_from_the_last_to_the_first() -> None:
    api = ListApi(list(range(450)))
    read(api, guess=5)
    assert api.requested_pages == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("sorts", [True, False], ids=["sorted", "newest first anyhow"])
def test_the_newest_recordings_come_first_if_requested(sorts: bool) -> None:
    api = ListApi(list(range(250)))
    api.sorts = sorts
    found = asyncio.run(listed(PageIterator(api.client()).newest_first()))
    assert found == list(range(249, -1, -1))


def test_the_newest_page_comes_first_although_the_api_lists_the_oldest_first() -> None:
    api = ListApi(list(range(250)))

    def ascending(request: httpx.Request) -> httpx.Response:
        url = request.url.copy_set_param("sort_order", "ASC")
        return api.answer(httpx.Request("GET", url))

    api.answers = ascending
    found = asyncio.run(listed(PageIterator(api.client()).newest_first()))
    assert (found[:50], len(found)) == (list(range(200, 250)), 250)


def page(
    count: int, total: int | None, end: int | None = None, *, unreadable: int = 0
) -> RecordingPage:
    rows = tuple(
        RecordingSnapshot(
            recording_id=f"r{number}",
            status=Status.RECORDING,
            invoked_time=T0 + timedelta(seconds=number) if number else None,
        )
        for number in reversed(range(count))
    )
    return RecordingPage(
        recordings=rows,
        total_count=total,
        end_offset=end,
        is_last=False,
        unreadable_count=unreadable,
    )


@pytest.mark.parametrize(
    ("answer", "number", "expected"),
    [
        (page(3, None), 1, False),
        (page(3, 3, 3), 1, True),
        (page(3, 4, 3), 1, False),
        (page(3, 3), 1, True),
        (page(3, 4), 1, False),
        (page(3, 4, unreadable=1), 1, True),  # the fourth is there, but has no usable id
        (page(3, 3), 2, False),  # without an offset, only the first page can tell
        (page(3, 103, 103), 2, True),
    ],
)
def test_the_last_page_is_the_one_that_the_api_s_numbers_prove(
    answer: RecordingPage, number: int, expected: bool
) -> None:
    assert is_last(answer, number) is expected


@pytest.mark.parametrize(("count", "second"), [(0, None), (1, None), (2, 1), (5, 1)])
def test_the_oldest_time_of_a_page_is_of_those_that_have_one(
    count: int, second: int | None
) -> None:
    oldest = None if second is None else T0 + timedelta(seconds=second)
    assert oldest_invoked_time(page(count, count)) == oldest
