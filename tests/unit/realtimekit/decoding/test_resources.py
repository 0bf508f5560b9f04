"""Sessions, participants and webhooks, as the client gives them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from worker.domain.errors import NotFound, Unavailable
from worker.domain.snapshot import Participant
from worker.realtimekit.client import RealtimeKit
from worker.realtimekit.models import Session, Sessions, Webhook
from worker.realtimekit.retry import RequestRetry

SESSION = {"id": "s-1", "associated_id": "m-1", "status": "LIVE", "live_participants": "3"}
WEBHOOK = {"id": "w-1", "name": "n", "url": "https://a.example/", "events": ["meeting.ended"]}


class Api:
    """Answers from `pages` by `page_no`, else with `data`."""

    def __init__(self, data: object = None, pages: Mapping[int, object] | None = None) -> None:
        self.data = data
        self.pages = pages
        self.queries: list[dict[str, str]] = []
        self.client = RealtimeKit(
            base_url="https://api.example",
            account_id="acc",
            app_id="app",
            token=lambda: "t",
            timeout=5.0,
            retry=RequestRetry(attempts=1),
            transport=httpx.MockTransport(self._answer),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.queries.append(dict(request.url.params))
        if self.pages is None:
            return httpx.Response(200, json={"success": True, "data": self.data})
        return httpx.Response(200, json=self.pages[int(request.url.params["page_no"])])


def people(*ids: str, **paging: int) -> dict[str, Any]:
    rows = [{"id": i, "user_id": f"u-{i}", "custom_participant_id": f"c-{i}"} for i in ids]
    return {"data": {"participants": rows}} | ({"paging": paging} if paging else {})


def named(*ids: str) -> tuple[Participant, ...]:
    return tuple(
        Participant(peer_id=i, user_id=f"u-{i}", custom_participant_id=f"c-{i}") for i in ids
    )


async def test_the_participants_of_all_pages_are_fetched() -> None:
    api = Api(
        pages={
            1: people("a", "b", total_count=3, start_offset=1, end_offset=2),
            2: people("c", total_count=3, start_offset=3, end_offset=3),
        }
    )
    assert await api.client.participants("s-1") == named("a", "b", "c")
    assert [query["page_no"] for query in api.queries] == ["1", "2"]
    assert {query["view"] for query in api.queries} == {"raw"}


async def test_paging_inside_data_is_followed_as_well() -> None:
    first, second = people("a"), people("b")
    first["data"]["paging"] = {"total_count": 2, "end_offset": 1}
    second["data"]["paging"] = {"total_count": 2, "end_offset": 2}
    assert await Api(pages={1: first, 2: second}).client.participants("s-1") == named("a", "b")


async def test_a_page_without_paging_that_is_not_full_is_the_last() -> None:
    api = Api(pages={1: people("a")})
    assert await api.client.participants("s-1") == named("a")


async def test_an_api_that_takes_no_notice_of_the_page_is_not_asked_for_ever() -> None:
    same = people("a", total_count=100, start_offset=1, end_offset=1)
    api = Api(pages={1: same, 2: same})
    assert await api.client.participants("s-1") == named("a")


async def test_rows_without_an_id_are_left_out() -> None:
    rows = [None, {}, {"id": 7}, {"id": "a", "user_id": None, "custom_participant_id": 5}]
    assert await Api({"participants": rows}).client.participants("s-1") == (
        Participant(peer_id="a"),
    )


@pytest.mark.parametrize("data", [{"participant": {"id": "a"}}, {"id": "a"}])
async def test_a_participant_is_found_in_both_places(data: object) -> None:
    assert await Api(data).client.participant("s-1", "a") == Participant(peer_id="a")


async def test_the_active_session_of_a_meeting_is_told() -> None:
    data = SESSION | {"started_at": "2026-11-01T10:00:00Z", "ended_at": None}
    assert await Api(data).client.active_session("m-1") == Session(
        session_id="s-1",
        meeting_id="m-1",
        status="LIVE",
        started_at=datetime(2026, 11, 1, 10, tzinfo=UTC),
        live_participants=3,
    )


@pytest.mark.parametrize("data", [SESSION, {"session": SESSION}])
async def test_a_session_is_found_in_both_places(data: object) -> None:
    assert (await Api(data).client.session("s-1")).session_id == "s-1"


async def test_the_sessions_of_a_meeting_are_asked_for_by_the_documented_name() -> None:
    api = Api({"sessions": [SESSION, None, {}]})
    found = await api.client.sessions(meeting_id="m-1", status="LIVE", per_page=10)
    assert api.queries == [
        {"page_no": "1", "per_page": "10", "associated_id": "m-1", "status": "LIVE"}
    ]
    assert found == Sessions(
        sessions=(Session(session_id="s-1", meeting_id="m-1", status="LIVE", live_participants=3),)
    )


async def test_webhooks_are_listed_and_those_without_an_address_left_out() -> None:
    found = await Api([WEBHOOK, None, {"id": "w-2"}, {"url": "u"}]).client.webhooks()
    assert found == (
        Webhook(webhook_id="w-1", name="n", url="https://a.example/", events=("meeting.ended",)),
    )


async def test_a_webhook_says_whether_it_is_enabled_if_the_api_does() -> None:
    assert (await Api(WEBHOOK).client.get_webhook("w-1")).enabled is None
    assert (await Api(WEBHOOK | {"enabled": False}).client.get_webhook("w-1")).enabled is False


async def test_the_names_of_events_are_a_plain_list() -> None:
    found = await Api(["meeting.ended", None, "recording.statusUpdate"]).client.webhook_events()
    assert found == ("meeting.ended", "recording.statusUpdate")


async def test_removing_a_webhook_needs_no_body_in_the_answer() -> None:
    client = RealtimeKit(
        base_url="https://api.example",
        account_id="acc",
        app_id="app",
        token=lambda: "t",
        timeout=5.0,
        retry=RequestRetry(attempts=1),
        transport=httpx.MockTransport(
            lambda request: httpx.Response(204 if request.url.path.endswith("w-1") else 404)
        ),
    )
    await client.delete_webhook("w-1")
    with pytest.raises(NotFound):
        await client.delete_webhook("w-2")


CALLS: dict[str, Callable[[RealtimeKit], Awaitable[Any]]] = {
    "session": lambda client: client.session("s"),
    "sessions": lambda client: client.sessions(),
    "participant": lambda client: client.participant("s", "p"),
    "participants": lambda client: client.participants("s"),
    "webhook": lambda client: client.get_webhook("w"),
    "webhooks": lambda client: client.webhooks(),
    "names": lambda client: client.webhook_events(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("data", [None, 7, "text", {}, {"sessions": 7, "participants": 7}])
async def test_data_of_another_form_is_an_unreadable_answer(
    call: Callable[[RealtimeKit], Awaitable[Any]], data: object
) -> None:
    with pytest.raises(Unavailable) as raised:
        await call(Api(data).client)
    assert raised.value.code == "unreadable_answer"
