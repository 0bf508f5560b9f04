"""The files of a recording: how they are told of, fetched, and lost."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from sandbox.model.meetings import participant_ids
from sandbox.model.webm import duration_seconds
from tests.contract.sandbox_client import Client, talking_to


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with talking_to() as client:
        yield client


@pytest.fixture
async def store() -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token, as presigned URLs want it."""
    async with httpx.AsyncClient() as http:
        yield http


async def urls(client: Client) -> dict[str, str]:
    recording = await client.uploaded(await client.start_track(), seconds=12.5)
    (layer,) = recording["download_url"]
    return {name: told["download_url"] for name, told in layer["download_urls"].items()}


async def test_a_track_file_is_webm_and_as_long_as_was_recorded(
    client: Client, store: httpx.AsyncClient
) -> None:
    for url in (await urls(client)).values():
        answer = await store.get(url)

        assert answer.headers["content-type"] == "video/webm"
        assert duration_seconds(answer.content) == pytest.approx(12.5, abs=0.01)


async def test_a_url_expires_with_the_files(client: Client, store: httpx.AsyncClient) -> None:
    url = next(iter((await urls(client)).values()))
    before = await store.get(url)

    client.sandbox.clock.advance(7 * 86400)
    after = await store.get(url)

    assert (before.status_code, after.status_code) == (200, 403)


async def test_a_url_is_good_for_its_own_file_and_time_only(
    client: Client, store: httpx.AsyncClient
) -> None:
    first, second = list((await urls(client)).values())[:2]
    path, query = second.partition("?")[0], first.partition("?")[2]
    longer = first.replace("X-Expires=", "X-Expires=9")

    statuses = [
        (await store.get(url)).status_code
        for url in (f"{path}?{query}", longer, first[:-1], path, f"{path}?X-Expires=x")
    ]

    assert statuses == [403] * 5


async def test_a_presigned_url_refuses_a_second_permission(client: Client) -> None:
    url = next(iter((await urls(client)).values()))

    answer = await client.http.get(url)  # This client sends its Authorization header.

    assert (answer.status_code, "InvalidArgument" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("shape", "empty"), [("null", None), ("empty_list", []), ("empty_links", {"links": []})]
)
async def test_the_files_can_be_told_as_nothing(client: Client, shape: str, empty: Any) -> None:
    client.sandbox.behaviour.change({"track_download_url": shape})

    assert (await client.uploaded(await client.start_track()))["download_url"] == empty


async def test_the_files_can_be_told_with_their_owners(client: Client) -> None:
    client.sandbox.behaviour.track_download_url = "links"

    recording = await client.uploaded(await client.start_track())

    (layer,) = recording["download_url"]["links"]
    (first, *_) = layer["download_urls"].items()
    assert first[1]["peer_id"] in first[0]
    assert first[1]["custom_participant_id"] == "participant-1"


async def test_one_file_can_be_told_as_a_plain_url(
    client: Client, store: httpx.AsyncClient
) -> None:
    client.sandbox.behaviour.track_download_url = "string"
    user_ids = list(participant_ids(client.meeting_id, 1))

    recording = await client.uploaded(await client.start_track(user_ids=user_ids))

    assert (await store.get(recording["download_url"])).status_code == 200


async def test_a_list_does_not_tell_the_files_of_a_track_recording(client: Client) -> None:
    await urls(client)

    (listed,) = (await client.get("/recordings"))["data"]

    assert (listed["status"], listed["download_url"], listed["file_size"]) == ("UPLOADED", None, 0)


async def test_a_composite_recording_has_a_picture_and_a_sound_file(
    client: Client, store: httpx.AsyncClient
) -> None:
    recording = await client.uploaded(await client.start_composite(file_name_prefix="weekly"))

    picture = await store.get(recording["download_url"])
    sound = await store.get(recording["audio_download_url"])

    assert recording["output_file_name"].startswith("weekly_")
    assert picture.headers["content-type"] == "video/mp4"
    assert len(picture.content) == recording["file_size"]
    assert sound.headers["content-type"] == "audio/aac"


async def test_what_lies_in_the_customers_storage_only_has_no_url(client: Client) -> None:
    recording_id = await client.start_composite(
        storage_config={"type": "aws", "bucket": "ours", "path": "calls", "secret": "x"},
        realtimekit_bucket_config={"enabled": False},
    )

    recording = await client.uploaded(recording_id)

    assert (recording["status"], recording["download_url"]) == ("UPLOADED", None)
    assert recording["storage_config"] == {"type": "aws", "bucket": "ours", "path": "calls"}


async def test_the_request_log_knows_each_file_and_who_asked_for_it(
    client: Client, store: httpx.AsyncClient
) -> None:
    told = await urls(client)
    name, url = next(iter(told.items()))
    await store.get(url)

    assert [file.name for file in client.sandbox.request_log.files] == list(told)
    assert [served.name for served in client.sandbox.request_log.files_served] == [name]
