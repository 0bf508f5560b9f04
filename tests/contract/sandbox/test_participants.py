"""The emulated list of a meeting's participants: pages, custom ids, lag, and who is on it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.sandbox.sandbox_client import Client, connected_client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected_client() as client:
        yield client


def path(client: Client) -> str:
    return f"/meetings/{client.meeting_id}/participants"


async def custom_ids(client: Client, **query: Any) -> list[str]:
    rows = (await client.get(path(client), **query))["data"]
    return [row["custom_participant_id"] for row in rows]


async def test_the_list_has_everybody_who_may_join_in_pages_that_state_their_offsets(
    client: Client,
) -> None:
    client.sandbox.meetings.create(client.meeting_id, participants=250, live=False)
    pages = [await client.get(path(client), page_no=number, per_page=100) for number in (1, 2, 3)]
    assert [page["paging"] for page in pages] == [
        {"total_count": 250, "start_offset": 1, "end_offset": 100},
        {"total_count": 250, "start_offset": 101, "end_offset": 200},
        {"total_count": 250, "start_offset": 201, "end_offset": 250},
    ]
    rows = [row for page in pages for row in page["data"]]
    assert len({row["id"] for row in rows}) == 250
    assert rows[0].keys() >= {"id", "name", "custom_participant_id", "preset_name"}


async def test_several_participants_may_have_one_custom_id(client: Client) -> None:
    client.sandbox.meetings.create(client.meeting_id, participants=["ann", "bob", "ann"])
    rows = (await client.get(path(client)))["data"]
    assert [row["custom_participant_id"] for row in rows] == ["ann", "bob", "ann"]
    assert len({row["id"] for row in rows}) == 3


async def test_somebody_who_is_added_later_is_on_the_list_and_a_removed_one_is_not(
    client: Client,
) -> None:
    control, url = client.sandbox.control_url, f"/meetings/{client.meeting_id}/participants"
    first = (await client.get(path(client)))["data"][0]["id"]
    added = await client.http.post(control + url, json={"custom_participant_id": "late"})
    assert added.status_code == 201
    assert (await client.http.delete(f"{control}{url}/{first}")).status_code == 200
    assert await custom_ids(client) == ["participant-2", "participant-3", "late"]
    assert (await client.http.delete(f"{control}{url}/{first}")).status_code == 404
    await client.http.post(control + url, json={"custom_participant_id": "later"})
    assert len({row["id"] for row in (await client.get(path(client)))["data"]}) == 4


async def test_a_lagging_list_lacks_those_who_were_just_added(client: Client) -> None:
    assert len(await custom_ids(client)) == 3
    client.sandbox.behaviour.change({"participant_lag_seconds": 5})
    client.sandbox.clock.advance(5)
    client.sandbox.meetings.register(client.meeting_id, "late")
    assert "late" not in await custom_ids(client)
    client.sandbox.clock.advance(5)
    assert "late" in await custom_ids(client)


async def test_the_list_may_begin_with_the_newest(client: Client) -> None:
    client.sandbox.behaviour.change({"newest_participants_first": True})
    assert await custom_ids(client, per_page=2) == ["participant-3", "participant-2"]


async def test_a_strict_api_knows_no_participants_of_an_unknown_meeting(client: Client) -> None:
    client.sandbox.behaviour.change({"strict": True})
    client.sandbox.tokens.allow("any")
    assert (await client.call("GET", path(client))).status_code == 404


async def test_a_recording_of_custom_ids_ends_uploaded_without_files(client: Client) -> None:
    uploaded = await client.uploaded(await client.start_track(user_ids=["participant-1"]))
    assert uploaded["status"] == "UPLOADED"
    assert uploaded["download_url"] == []
