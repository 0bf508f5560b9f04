"""The participants of a meeting, read from the API's pages and remembered for a burst."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.unit.api_client import answered_client
from worker.domain.errors import NotFound, Refused, Unavailable
from worker.domain.meeting_participants import MeetingParticipants
from worker.realtimekit.client import PAGE_SIZE
from worker.realtimekit.participant_directory import (
    MAX_PAGES,
    MAX_REMEMBERED,
    READ_TIMEOUT_SECONDS,
    REMEMBERED_SECONDS,
    ParticipantDirectory,
)

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"

Rows = list[Any]


def row(number: int, custom_id: object = None) -> dict[str, object]:
    custom = f"custom-{number}" if custom_id is None else custom_id
    return {"id": f"user-{number}", "custom_participant_id": custom, "preset_name": "host"}


class Api:
    """The list of one meeting's participants, whose `rows` a test may change between two pages."""

    def __init__(
        self,
        rows: Rows,
        *,
        before_page: Callable[[int], None] | None = None,
        read_timeout: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self.rows = rows
        self.paging = True
        self.max_per_page = PAGE_SIZE
        self.ignores_page_no = False
        self.failures: list[httpx.Response] = []
        self.pages: list[int] = []
        self.time = 1000.0
        self._before_page = before_page
        self.directory = ParticipantDirectory(
            answered_client(self._answer),
            now=lambda: self.time,
            read_timeout=read_timeout,
        )

    async def read(self, *, since: float = 0.0, meeting: str = MEETING) -> MeetingParticipants:
        return await self.directory.participants(meeting, since=since)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # others may arrive in between
        page_no = int(request.url.params["page_no"])
        self.pages.append(page_no)
        if self.failures:
            return self.failures.pop(0)
        if self._before_page:
            self._before_page(page_no)
        size = min(int(request.url.params["per_page"]), self.max_per_page)
        offset = 0 if self.ignores_page_no else (page_no - 1) * size
        page = self.rows[offset : offset + size]
        body: dict[str, Any] = {"success": True, "data": page}
        if self.paging:
            places = {"start_offset": offset + 1, "end_offset": offset + len(page)}
            body["paging"] = {"total_count": len(self.rows), **places}
        return httpx.Response(200, json=body)


async def test_a_read_finds_everybody_by_both_ids() -> None:
    known = await Api([row(1), row(2), row(3, "custom-2")]).read()
    assert known.has_user("user-1")
    assert known.custom_id("user-1") == "custom-1"
    assert list(known.user_ids("custom-2")) == ["user-2", "user-3"]
    assert not known.has_user("custom-1")
    assert not known.user_ids("user-1")
    assert known.is_whole


@pytest.mark.parametrize(("people", "pages"), [(0, 1), (1, 1), (100, 1), (101, 2), (250, 3)])
async def test_a_read_costs_one_request_for_each_hundred_participants(
    people: int, pages: int
) -> None:
    api = Api([row(number) for number in range(people)])
    assert len(await api.read()) == people
    assert api.pages == list(range(1, pages + 1))


@pytest.mark.parametrize("max_per_page", [20, 100])
async def test_all_pages_are_read_also_if_the_api_cuts_them_and_counts_nothing(
    max_per_page: int,
) -> None:
    api = Api([row(number) for number in range(130)])
    api.paging, api.max_per_page = False, max_per_page
    assert len(await api.read()) == 130


@pytest.mark.parametrize("paging", [True, False])
async def test_an_api_that_ignores_the_page_number_does_not_keep_the_worker_reading(
    paging: bool,
) -> None:
    api = Api([row(number) for number in range(150)])
    api.ignores_page_no, api.paging = True, paging
    await api.read()
    assert len(api.pages) <= 4


async def test_nobody_is_missed_if_somebody_is_removed_between_two_pages() -> None:
    def remove(page_no: int) -> None:
        if page_no == 2 and len(api.rows) == 250:
            del api.rows[0]

    api = Api([row(number) for number in range(250)], before_page=remove)
    known = await api.read()
    assert all(known.has_user(f"user-{number}") for number in range(1, 250))


async def test_nobody_is_missed_if_somebody_is_added_at_the_front_between_two_pages() -> None:
    def add(page_no: int) -> None:
        if page_no == 2 and len(api.rows) == 250:
            api.rows.insert(0, row(250))

    api = Api([row(number) for number in range(250)], before_page=add)
    known = await api.read()
    assert all(known.has_user(f"user-{number}") for number in range(251))


async def test_a_list_that_always_counts_too_many_is_read_twice_and_not_for_ever() -> None:
    api = Api([row(1), row(1), row(1)])
    known = await api.read()
    assert len(known) == 1
    assert api.pages == [1, 1]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"id": None, "custom_participant_id": "x"},
        {"id": "", "custom_participant_id": "x"},
        {"id": 7, "custom_participant_id": "x"},
        {"id": ["user"], "custom_participant_id": "x"},
        {"id": "u" * 257, "custom_participant_id": "x"},
        {"id": "user\x00", "custom_participant_id": "x"},
        {"custom_participant_id": "x"},
        None,
        "user-1",
        17,
        [],
    ],
)
async def test_a_row_without_a_usable_id_is_left_out_and_the_others_count(bad: object) -> None:
    api = Api([row(1), bad, row(2)])
    known = await api.read()
    assert (len(known), known.has_user("user-1"), known.has_user("user-2")) == (2, True, True)
    assert not known.user_ids("x")
    assert api.pages == [1]


@pytest.mark.parametrize("custom_id", [None, "", 5, {}, "c" * 257, "c\x1b[2J", "\x85"])
async def test_a_participant_without_a_usable_custom_id_has_only_the_participant_id(
    custom_id: object,
) -> None:
    api = Api([{"id": "user-1", "custom_participant_id": custom_id}])
    known = await api.read()
    assert known.has_user("user-1")
    assert known.custom_id("user-1") is None


@pytest.mark.parametrize(
    "name",
    [r"cut \ud83d", r"\udc4d tail", r"\ud83d\ud83d", r"C:\\ud83d", r"\ud83d\u0041", r"\uDBFF\\n"],
)
async def test_a_name_that_was_cut_within_an_emoji_loses_no_participant(name: str) -> None:
    api = Api([])
    rows = f'[{{"id":"user-1","name":"{name}","custom_participant_id":"\\ud83d\\udc4d"}}]'
    body = f'{{"success":true,"data":{rows}}}'.encode()
    api.failures = [httpx.Response(200, content=body)]
    assert list((await api.read()).user_ids("\U0001f44d")) == ["user-1"]


async def test_a_refused_list_has_the_words_of_the_api_and_no_field_of_the_command() -> None:
    api = Api([])
    error = {"code": 400, "message": '"search" must be less than 50'}
    api.failures = [httpx.Response(400, json={"success": False, "error": error})]
    with pytest.raises(Refused) as refused:
        await api.read()
    assert (refused.value.field, refused.value.http_status) == (None, 400)
    assert "participants" in refused.value.message
    assert "search" in refused.value.message


async def test_a_name_with_html_changes_nothing() -> None:
    api = Api([row(1) | {"name": "<script>alert(1)</script>" * 1000, "picture": "<img>"}, row(2)])
    assert len(await api.read()) == 2


async def test_a_page_with_only_unusable_rows_does_not_keep_the_worker_reading() -> None:
    api = Api([None] * 500)
    api.paging = False
    assert len(await api.read()) == 0
    assert len(api.pages) <= 2


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"success":true}', b'{"success":true,"data":null}',
     b'{"success":true,"data":{}}', b'{"success":true,"data":"x"}', b'{"success":false,"data":[]}',
     b'{"success":true,"data":' + b"[" * 5000],
)  # fmt: skip
async def test_a_response_without_a_list_is_no_answer(body: bytes) -> None:
    api = Api([])
    api.failures = [httpx.Response(200, content=body)]
    with pytest.raises(Unavailable):
        await api.read()


async def test_a_response_of_ten_megabytes_is_no_answer() -> None:
    api = Api([])
    api.failures = [httpx.Response(200, content=b'{"success":true,"data":["' + b"x" * 10_000_000)]
    with pytest.raises(Unavailable):
        await api.read()


async def test_participants_in_an_object_are_read_too() -> None:
    api = Api([])
    data = {"participants": [row(1)], "paging": {"total_count": 1, "end_offset": 1}}
    api.failures = [httpx.Response(200, json={"success": True, "data": data})]
    assert (await api.read()).has_user("user-1")


async def test_more_participants_than_one_read_takes_are_known_to_be_cut() -> None:
    api = Api([row(number) for number in range(20_200)])
    known = await api.read()
    assert not known.is_whole
    assert len(api.pages) <= MAX_PAGES


async def test_a_burst_shares_one_read() -> None:
    api = Api([row(number) for number in range(150)])
    reads = await asyncio.gather(*(api.read(since=api.time) for _ in range(50)))
    assert len({id(read) for read in reads}) == 1
    assert api.pages == [1, 2]


async def test_one_meeting_does_not_wait_for_another_and_does_not_share_its_read() -> None:
    api = Api([row(1)])
    await asyncio.gather(api.read(), api.read(meeting="other"), api.read(meeting=MEETING.upper()))
    assert api.pages == [1, 1]


async def test_a_read_that_began_before_the_given_moment_is_not_used() -> None:
    api = Api([row(1)])
    await api.read()
    api.time += 5.0
    assert not (await api.read(since=api.time - 5.0)).has_user("user-2")
    api.rows.append(row(2))
    assert not (await api.read(since=api.time - 5.0)).has_user("user-2")
    assert (await api.read(since=api.time - 4.9)).has_user("user-2")
    assert len(api.pages) == 2


async def test_a_failed_read_is_not_remembered() -> None:
    api = Api([row(1)])
    api.failures = [httpx.Response(503)]
    with pytest.raises(Unavailable):
        await api.read()
    assert (await api.read()).has_user("user-1")


async def test_a_cancelled_read_leaves_the_others_to_read_for_themselves() -> None:
    api = Api([row(1)])
    first = asyncio.create_task(api.read())
    second = asyncio.create_task(api.read())
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).has_user("user-1")


async def test_an_unknown_meeting_is_refused() -> None:
    api = Api([])
    error = {"success": False, "error": {"code": 404, "message": "meeting not found"}}
    api.failures = [httpx.Response(404, json=error)]
    with pytest.raises(NotFound):
        await api.read()


async def test_a_read_that_takes_too_long_was_certainly_no_start() -> None:
    with pytest.raises(Unavailable, match="not read in 0 seconds"):
        await Api([row(1)], read_timeout=0.0).read()


async def test_reads_are_forgotten_after_a_while_and_when_there_are_too_many() -> None:
    api = Api([row(1)])
    await api.read(meeting="first")
    api.time += REMEMBERED_SECONDS + 1
    await api.read(meeting="second")
    await api.read(meeting="first")
    assert len(api.pages) == 3
    api.rows = [row(number) for number in range(4_000)]
    meetings = [f"m-{number}" for number in range(MAX_REMEMBERED // 4_000 + 1)]
    for meeting in meetings:
        await api.read(meeting=meeting)
    del api.pages[:]
    await api.read(meeting=meetings[-1])
    assert not api.pages
    await api.read(meeting=meetings[0])
    assert api.pages
