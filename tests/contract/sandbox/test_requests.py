"""Requests that the emulated API accepts and refuses; pages and filters of its lists."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.sandbox.sandbox_client import Client, connected_client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected_client() as client:
        yield client


async def refusal(client: Client, path: str, **fields: Any) -> tuple[int, str]:
    body = {"meeting_id": client.meeting_id, **fields}
    answer = await client.call("POST", path, json=body)
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"user_ids": []}, "user_ids"),
        ({"user_ids": ["x"] * 101}, "user_ids"),
        ({"user_ids": [""]}, "user_ids[0]"),
        ({"user_ids": ["x" * 257]}, "user_ids[0]"),
        ({"user_id": ["x"]}, "user_id"),
        ({"layers": {"other": {}}}, "layers.other"),
        ({"layers": {"default": {"media_kind": "video"}}}, "layers.default.media_kind"),
        ({"layers": {"default": {"file_name_prefix": "a/b"}}}, "layers.default.file_name_prefix"),
        ({"layers": {"default": {"file_name_prefix": ""}}}, "layers.default.file_name_prefix"),
        ({"layers": {"default": {"file_name_prefix": "é"}}}, "layers.default.file_name_prefix"),
        ({"max_seconds": 60}, "max_seconds"),
    ],
)
async def test_the_refusal_of_a_track_start_names_the_invalid_field(
    client: Client, fields: dict[str, Any], named: str
) -> None:
    status, message = await refusal(client, "/recordings/track", **fields)

    assert status == 400
    assert message.startswith(f'BAD_REQUEST: "{named}" ')


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_seconds": 59}, "max_seconds"),
        ({"max_seconds": 86_401}, "max_seconds"),
        ({"max_seconds": 60.5}, "max_seconds"),
        ({"allow_multiple_recordings": "yes"}, "allow_multiple_recordings"),
        ({"audio_config": {"codec": "OPUS"}}, "audio_config.codec"),
        ({"audio_config": {"channel": "5.1"}}, "audio_config.channel"),
        ({"video_config": {"codec": "AV1"}}, "video_config.codec"),
        ({"video_config": {"width": 1921}}, "video_config.width"),
        ({"video_config": {"height": 0}}, "video_config.height"),
        (
            {"video_config": {"watermark": {"position": "centre"}}},
            "video_config.watermark.position",
        ),
        ({"video_config": {"watermark": {"url": "logo.png"}}}, "video_config.watermark.url"),
        ({"interactive_config": {"type": "ID4"}}, "interactive_config.type"),
        ({"realtimekit_bucket_config": {}}, "realtimekit_bucket_config.enabled"),
        ({"rtmp_out_config": {"rtmp_url": "there"}}, "rtmp_out_config.rtmp_url"),
        ({"storage_config": {"type": "floppy"}}, "storage_config.type"),
        ({"storage_config": {}}, "storage_config.type"),
        ({"url": "not a uri"}, "url"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
async def test_the_refusal_of_a_composite_start_names_the_invalid_field(
    client: Client, fields: dict[str, Any], named: str
) -> None:
    status, message = await refusal(client, "/recordings", **fields)

    assert status == 400
    assert message.startswith(f'BAD_REQUEST: "{named}" ')


async def test_a_composite_start_with_every_field_is_accepted(client: Client) -> None:
    await client.start_composite(
        allow_multiple_recordings=True,
        audio_config={"codec": "MP3", "channel": "mono", "export_file": True},
        file_name_prefix="weekly_sync",
        interactive_config={"type": "ID3"},
        max_seconds=60,
        realtimekit_bucket_config={"enabled": True},
        rtmp_out_config={"rtmp_url": "rtmp://a.example/x"},
        storage_config={"type": "cloudflare", "account_id": "a", "secret": "hidden", "bucket": "b"},
        url="https://a.example/room",
        video_config={
            "codec": "VP9",
            "width": 1920,
            "height": 1,
            "watermark": {"url": "https://a.example/l.png", "size": {"height": 1, "width": 1}},
        },
    )

    assert client.sandbox.request_log.counts["started.composite"] == 1


async def test_invalid_fields_can_be_refused_with_422(client: Client) -> None:
    client.sandbox.behaviour.validation_status = 422

    status, message = await refusal(client, "/recordings/track", layers={"x": {}})

    assert (status, message) == (422, 'BAD_REQUEST: "layers.x" is not allowed')


async def test_no_response_contains_a_storage_secret(client: Client) -> None:
    storage = {"type": "aws", "bucket": "b", "access_key": "KEY-1", "secret": "SECRET-2"}
    recording_id = await client.start_composite(storage_config=storage)

    answered = str(await client.uploaded(recording_id)) + str(await client.get("/recordings"))
    kept = str(list(client.sandbox.request_log.entries()))

    assert "'bucket': 'b'" in answered
    assert not [word for word in ("KEY-1", "SECRET-2") if word in answered + kept]


async def test_pages_cover_the_list_once_and_state_their_offsets(client: Client) -> None:
    started = [await client.start_track() for _ in range(5)]

    pages = [
        await client.get("/recordings", page_no=number, per_page=2, sort_order="ASC")
        for number in (1, 2, 3, 4)
    ]

    assert [item["id"] for page in pages for item in page["data"]] == started
    offsets = [(page["paging"]["start_offset"], page["paging"]["end_offset"]) for page in pages]
    assert offsets == [(1, 2), (3, 4), (5, 5), (0, 5)]
    assert {page["paging"]["total_count"] for page in pages} == {5}


async def test_the_list_starts_with_the_newest_by_default(client: Client) -> None:
    started = [await client.start_track() for _ in range(3)]

    newest_first = await client.get("/recordings")

    assert [item["id"] for item in newest_first["data"]] == started[::-1]


async def test_a_page_is_never_longer_than_the_maximum(client: Client) -> None:
    client.sandbox.behaviour.change({"default_per_page": 2, "max_per_page": 3})
    for _ in range(4):
        await client.start_track()

    lengths = [
        len((await client.get("/recordings", **query))["data"])
        for query in ({}, {"per_page": 0}, {"per_page": 1}, {"per_page": 1000}, {"page_no": 0})
    ]

    assert lengths == [2, 2, 1, 3, 2]


@pytest.mark.parametrize(("first_page", "lengths"), [(1, [2, 2, 1, 0]), (0, [2, 1, 0, 0])])
async def test_pages_count_from_the_first_page(
    client: Client, first_page: int, lengths: list[int]
) -> None:
    client.sandbox.behaviour.change({"first_page": first_page, "default_per_page": 2})
    for _ in range(3):
        await client.start_track()

    pages = [await client.get("/recordings", page_no=number) for number in range(4)]

    assert [len(page["data"]) for page in pages] == lengths
    assert {page["paging"]["total_count"] for page in pages} == {3}


@pytest.mark.parametrize(
    "query",
    [
        [("status", "UPLOADED,INVOKED")],
        [("status", "UPLOADED"), ("status", "INVOKED")],
        [("status[]", "UPLOADED"), ("status[]", "INVOKED")],
    ],
)
async def test_the_status_filter_accepts_every_style_of_list(
    client: Client, query: list[tuple[str, str]]
) -> None:
    uploaded, recording = await client.start_track(), await client.start_track()
    await client.uploaded(uploaded)
    invoked = await client.start_track()

    answer = await client.call("GET", "/recordings", params=query)

    assert {item["id"] for item in answer.json()["data"]} == {uploaded, invoked}
    assert recording not in answer.text


async def test_the_list_is_filtered_by_meeting_time_and_search(client: Client) -> None:
    first = await client.start_track()
    client.sandbox.clock.advance(60)
    earlier = (await client.get("/recordings"))["data"][0]
    client.meeting_id = "97440c6a-140b-40a9-9499-b23fd7a3868a"
    second = await client.start_track()
    later = (await client.get(f"/recordings/{second}"))["data"]["invoked_time"]

    async def found(**query: Any) -> list[str]:
        return [item["id"] for item in (await client.get("/recordings", **query))["data"]]

    assert await found(meeting_id=client.meeting_id) == [second]
    assert await found(start_time=later) == [second]
    assert await found(end_time=earlier["invoked_time"].replace("Z", "+00:00")) in ([first], [])
    assert await found(search=client.meeting_id) == [second]
    assert await found(search="nobody") == []


async def test_the_list_is_filtered_by_expiry(client: Client) -> None:
    recording_id = await client.start_track()
    await client.uploaded(recording_id)
    before = await client.get("/recordings", expired="true")

    client.sandbox.clock.advance(client.sandbox.behaviour.retention_seconds)
    after = await client.get("/recordings", expired="true")

    assert (before["data"], [item["id"] for item in after["data"]]) == ([], [recording_id])


async def test_a_lagging_list_shows_an_earlier_state(client: Client) -> None:
    client.sandbox.behaviour.list_lag_seconds = 5.0
    recording_id = await client.start_track()
    client.sandbox.clock.advance(4)
    unknown = await client.get("/recordings", meeting_id=client.meeting_id)

    client.sandbox.clock.advance(1)
    of_meeting = await client.get("/recordings", meeting_id=client.meeting_id)
    by_status = await client.get("/recordings", status="INVOKED")

    assert unknown["data"] == []
    assert [(item["id"], item["status"]) for item in of_meeting["data"]] == [
        (recording_id, "INVOKED")
    ]
    assert len(by_status["data"]) == 1


async def test_recordings_of_another_app_do_not_exist(client: Client) -> None:
    recording_id = await client.start_track()
    elsewhere = "/accounts/account/realtime/kit/other"

    single = await client.http.get(f"{elsewhere}/recordings/{recording_id}")
    all_of_them = await client.http.get(f"{elsewhere}/recordings")

    assert single.status_code == 404
    assert all_of_them.json()["data"] == []


async def test_a_page_of_participants_has_one_to_two_hundred_rows(client: Client) -> None:
    active = await client.get(f"/meetings/{client.meeting_id}/active-session")
    path = f"/sessions/{active['data']['id']}/participants"

    second = await client.get(path, page_no=2, per_page=2)
    refused = [
        (await client.call("GET", path, params={"per_page": rows})).status_code for rows in (0, 201)
    ]

    assert len(second["data"]["participants"]) == 1
    assert second["data"]["paging"] == {"total_count": 3, "start_offset": 3, "end_offset": 3}
    assert refused == [400, 400]


async def test_a_participant_who_rejoins_has_two_rows_or_one_consolidated_row(
    client: Client,
) -> None:
    active = await client.get(f"/meetings/{client.meeting_id}/active-session")
    meetings = client.sandbox.meetings
    meetings.rejoin(client.meeting_id, next(iter(meetings.get(client.meeting_id).participants)))
    path = f"/sessions/{active['data']['id']}/participants"

    raw = await client.get(path)
    consolidated = await client.get(path, view="consolidated")

    assert len(raw["data"]["participants"]) == 4
    assert len(consolidated["data"]["participants"]) == 3


async def test_a_meeting_can_be_created_and_joined(client: Client) -> None:
    created = await client.call("POST", "/meetings", json={"title": "Weekly"})
    client.meeting_id = created.json()["data"]["id"]
    person = {"custom_participant_id": "ann", "preset_name": "host", "name": "Ann"}
    path = f"/meetings/{client.meeting_id}/participants"
    user_id = (await client.call("POST", path, json=person)).json()["data"]["id"]
    empty = await client.call("GET", f"/meetings/{client.meeting_id}/active-session")

    client.sandbox.meetings.join(client.meeting_id, user_id)
    recording = await client.uploaded(await client.start_track(user_ids=[user_id]))

    assert (created.status_code, empty.status_code) == (201, 404)
    (layer,) = recording["download_url"]
    assert [user_id in name for name in layer["download_urls"]] == [True]


async def test_a_double_composite_start_is_a_conflict(client: Client) -> None:
    await client.start_composite()

    status, message = await refusal(client, "/recordings")

    assert (status, "already in progress" in message) == (409, True)
