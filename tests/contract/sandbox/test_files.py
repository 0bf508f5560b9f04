"""The files of a recording: their URLs, their downloads, and their absence."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from recording_sandbox.model.meetings import participant_ids
from recording_sandbox.model.webm import duration_seconds
from tests.contract.sandbox.sandbox_client import Client, connected_client
from tests.plain_http import NO_AUTHORITIES


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected_client() as client:
        yield client


@pytest.fixture
async def store() -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token, because presigned URLs refuse one."""
    async with httpx.AsyncClient(verify=NO_AUTHORITIES) as http:
        yield http


async def urls(client: Client) -> dict[str, str]:
    recording = await client.uploaded(await client.start_track(), seconds=12.5)
    (layer,) = recording["download_url"]
    return {name: file["download_url"] for name, file in layer["download_urls"].items()}


async def test_a_track_file_is_webm_of_the_recorded_length(
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


async def test_a_url_is_valid_only_for_its_file_and_expiry(
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


async def test_a_presigned_url_with_an_authorization_header_is_refused(client: Client) -> None:
    url = next(iter((await urls(client)).values()))

    answer = await client.http.get(url)  # This client sends its Authorization header.

    assert (answer.status_code, "InvalidArgument" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("shape", "empty"), [("null", None), ("empty_list", []), ("empty_links", {"links": []})]
)
async def test_the_download_url_can_have_an_empty_shape(
    client: Client, shape: str, empty: Any
) -> None:
    client.sandbox.behaviour.change({"track_download_url": shape})

    assert (await client.uploaded(await client.start_track()))["download_url"] == empty


async def test_the_download_url_can_name_the_owners_of_files(client: Client) -> None:
    client.sandbox.behaviour.track_download_url = "links"

    recording = await client.uploaded(await client.start_track())

    (layer,) = recording["download_url"]["links"]
    (first, *_) = layer["download_urls"].items()
    assert first[1]["peer_id"] in first[0]
    assert first[1]["custom_participant_id"] == "participant-1"


async def test_the_download_url_can_be_a_plain_url(
    client: Client, store: httpx.AsyncClient
) -> None:
    client.sandbox.behaviour.track_download_url = "string"
    user_ids = list(participant_ids(client.meeting_id, 1))

    recording = await client.uploaded(await client.start_track(user_ids=user_ids))

    assert (await store.get(recording["download_url"])).status_code == 200


async def test_a_list_has_no_urls_of_track_recordings(client: Client) -> None:
    await urls(client)

    (listed,) = (await client.get("/recordings"))["data"]

    assert (listed["status"], listed["download_url"], listed["file_size"]) == ("UPLOADED", None, 0)


async def test_a_composite_recording_has_a_video_file_and_an_audio_file(
    client: Client, store: httpx.AsyncClient
) -> None:
    recording = await client.uploaded(await client.start_composite(file_name_prefix="weekly"))

    picture = await store.get(recording["download_url"])
    sound = await store.get(recording["audio_download_url"])

    assert recording["output_file_name"].startswith("weekly_")
    assert picture.headers["content-type"] == "video/mp4"
    assert len(picture.content) == recording["file_size"]
    assert sound.headers["content-type"] == "audio/aac"


async def test_a_file_that_is_only_in_the_customers_storage_has_no_url(client: Client) -> None:
    recording_id = await client.start_composite(
        storage_config={"type": "aws", "bucket": "ours", "path": "calls", "secret": "x"},
        realtimekit_bucket_config={"enabled": False},
    )

    recording = await client.uploaded(recording_id)

    assert (recording["status"], recording["download_url"]) == ("UPLOADED", None)
    assert recording["storage_config"] == {"type": "aws", "bucket": "ours", "path": "calls"}


async def test_the_request_log_has_each_file_and_each_download(
    client: Client, store: httpx.AsyncClient
) -> None:
    downloads = await urls(client)
    name, url = next(iter(downloads.items()))
    await store.get(url)

    assert [file.name for file in client.sandbox.request_log.files] == list(downloads)
    assert [served.name for served in client.sandbox.request_log.files_served] == [name]
