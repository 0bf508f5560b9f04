"""Participants and webhooks, as the client returns them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.unit.api_client import answered_client
from worker.domain.errors import NotFound, OutcomeUnknown, Unavailable
from worker.domain.snapshot import Participant
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import Webhook

WEBHOOK = {"id": "w-1", "name": "n", "url": "https://a.example/", "events": ["meeting.ended"]}


class Api:
    """Answers from `pages` by `page_no`, else with `data`."""

    def __init__(self, data: object = None, pages: Mapping[int, object] | None = None) -> None:
        self.data = data
        self.pages = pages
        self.queries: list[dict[str, str]] = []
        self.client = answered_client(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.queries.append(dict(request.url.params))
        if self.pages is None:
            return httpx.Response(200, json={"success": True, "data": self.data})
        page = self.pages.get(int(request.url.params["page_no"]), people())
        return httpx.Response(200, json=page)


def people(*ids: str, **paging: int) -> dict[str, Any]:
    rows = [
        {"id": peer_id, "user_id": f"u-{peer_id}", "custom_participant_id": f"c-{peer_id}"}
        for peer_id in ids
    ]
    return {"data": {"participants": rows}} | ({"paging": paging} if paging else {})


def named(*ids: str) -> tuple[Participant, ...]:
    return tuple(
        Participant(peer_id=peer_id, user_id=f"u-{peer_id}", custom_participant_id=f"c-{peer_id}")
        for peer_id in ids
    )


async def test_the_participants_of_all_pages_are_fetched() -> None:
    api = Api(
        pages={
            1: people("a", "b", total_count=3, start_offset=1, end_offset=2),
            2: people("c", total_count=3, start_offset=3, end_offset=3),
        }
    )
    assert await api.client.list_participants("s-1") == named("a", "b", "c")
    assert [query["page_no"] for query in api.queries] == ["1", "2"]
    assert {query["view"] for query in api.queries} == {"raw"}


async def test_paging_inside_data_is_followed_as_well() -> None:
    first, second = people("a"), people("b")
    first["data"]["paging"] = {"total_count": 2, "end_offset": 1}
    second["data"]["paging"] = {"total_count": 2, "end_offset": 2}
    assert await Api(pages={1: first, 2: second}).client.list_participants("s-1") == named("a", "b")


async def test_a_page_without_paging_that_is_not_full_is_the_last() -> None:
    api = Api(pages={1: people("a")})
    assert await api.client.list_participants("s-1") == named("a")


async def test_an_api_that_ignores_page_no_ends_the_list() -> None:
    same = people("a", total_count=100, start_offset=1, end_offset=1)
    api = Api(pages={1: same, 2: same})
    assert await api.client.list_participants("s-1") == named("a")


async def test_the_times_of_a_stay_are_read_if_they_are_usable() -> None:
    row = {"id": "a", "joined_at": "2026-11-01T10:00:00.000Z", "left_at": 7}
    (stay,) = await Api({"participants": [row]}).client.list_participants("s-1")
    assert (stay.joined_at, stay.left_at) == (datetime(2026, 11, 1, 10, tzinfo=UTC), None)


async def test_rows_without_an_id_are_left_out() -> None:
    rows = [None, {}, {"id": 7}, {"id": "a", "user_id": None, "custom_participant_id": 5}]
    assert await Api({"participants": rows}).client.list_participants("s-1") == (
        Participant(peer_id="a"),
    )


async def test_webhooks_without_an_id_or_a_url_are_left_out() -> None:
    found = await Api([WEBHOOK, None, {"id": "w-2"}, {"url": "u"}]).client.list_webhooks()
    assert found == (
        Webhook(webhook_id="w-1", name="n", url="https://a.example/", events=("meeting.ended",)),
    )


async def test_enabled_is_none_unless_the_api_reports_it() -> None:
    (without_flag,) = await Api([WEBHOOK]).client.list_webhooks()
    (disabled,) = await Api([WEBHOOK | {"enabled": False}]).client.list_webhooks()
    assert (without_flag.enabled, disabled.enabled) == (None, False)


async def test_removing_a_webhook_needs_no_body_in_the_answer() -> None:
    gone = httpx.Response(404, json={"success": False, "error": {"code": 404, "message": "gone"}})
    client = answered_client(
        lambda request: httpx.Response(204) if request.url.path.endswith("w-1") else gone
    )
    await client.delete_webhook("w-1")
    with pytest.raises(NotFound):
        await client.delete_webhook("w-2")


CALLS: dict[str, Callable[[RealtimeKitClient], Awaitable[Any]]] = {
    "list_participants": lambda client: client.list_participants("s"),
    "list_webhooks": lambda client: client.list_webhooks(),
    "create_webhook": lambda client: client.create_webhook(name="n", url="u", events=()),
}

NONE = {"total_count": 0, "start_offset": 0, "end_offset": 0}
NULL_LISTS: dict[str, tuple[object, Callable[[RealtimeKitClient, int], Awaitable[Any]]]] = {
    "recordings": (None, lambda client, number: client.list_recordings(page_no=number)),
    "participants": (
        None,
        lambda client, number: client.list_meeting_participants("m", page_no=number),
    ),
    "sessions": (
        {"sessions": None},
        lambda client, number: client.list_live_sessions(page_no=number),
    ),
}


@pytest.mark.parametrize(("data", "get_page"), NULL_LISTS.values(), ids=NULL_LISTS)
async def test_a_list_that_is_null_ends_every_list_but_counts_as_empty_only_if_the_api_counts_none(
    data: object, get_page: Callable[[RealtimeKitClient, int], Awaitable[Any]]
) -> None:
    counted = {"success": True, "data": data, "paging": NONE}
    assert (await get_page(answered_client(lambda _: httpx.Response(200, json=counted)), 1)).is_last
    client = Api(data).client
    assert (await get_page(client, 2)).is_last
    with pytest.raises(Unavailable):
        await get_page(client, 1)


async def test_a_list_of_a_sessions_participants_may_end_with_null() -> None:
    full, end = people("a", "b"), {"data": {"participants": None}}
    full["paging"] = {"total_count": 3, "end_offset": 2}
    assert await Api(pages={1: full, 2: end}).client.list_participants("s") == named("a", "b")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("data", [None, 7, "text", {}, {"participants": 7}])
async def test_data_of_another_form_is_an_unreadable_response(
    call: Callable[[RealtimeKitClient], Awaitable[Any]], data: object
) -> None:
    with pytest.raises((Unavailable, OutcomeUnknown)) as raised:
        await call(Api(data).client)
    assert raised.value.code == "unreadable_response"
