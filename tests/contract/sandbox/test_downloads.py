"""Downloads of files: sizes, ranges, and each fault, as an HTTP client receives them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.faults import Fault
from tests.contract.sandbox.sandbox_client import Client, connected_client
from tests.plain_http import NO_AUTHORITIES

SIZE = 700_000


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    options = SandboxOptions(seed=1, behaviour=Behaviour(file_bytes=SIZE))
    async with connected_client(options) as client:
        yield client


@pytest.fixture
async def store() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=5, verify=NO_AUTHORITIES) as http:
        yield http


async def record(client: Client) -> Any:
    return await client.uploaded(await client.start_track())


def first_url(recording: Any) -> str:
    (layer,) = recording["download_url"]
    return str(next(iter(layer["download_urls"].values()))["download_url"])


@pytest.fixture
async def url(client: Client) -> str:
    return first_url(await record(client))


async def received_until_it_fails(store: httpx.AsyncClient, url: str) -> int:
    """The number of bytes that arrived before the download broke off."""
    received = 0
    try:
        async with store.stream("GET", url) as response:
            async for chunk in response.aiter_raw():
                received += len(chunk)
    except httpx.TransportError:
        return received
    raise AssertionError("the download did not break off")


async def test_a_file_has_the_size_that_the_behaviour_says(
    client: Client, store: httpx.AsyncClient
) -> None:
    track = await store.get(first_url(await record(client)))
    composite = await client.uploaded(await client.start_composite())
    movie = await store.get(composite["download_url"])

    assert len(track.content) == int(track.headers["content-length"]) == SIZE
    assert len(movie.content) == composite["file_size"] == SIZE


@pytest.mark.parametrize(
    ("requested", "content_range", "bounds"),
    [
        ("bytes=0-99", "bytes 0-99/700000", (0, 100)),
        ("bytes=300000-", "bytes 300000-699999/700000", (300_000, SIZE)),
        ("bytes=-5", "bytes 699995-699999/700000", (SIZE - 5, SIZE)),
        ("bytes=262143-262145", "bytes 262143-262145/700000", (262_143, 262_146)),
        ("bytes=699999-800000", "bytes 699999-699999/700000", (SIZE - 1, SIZE)),
    ],
)
async def test_a_range_is_that_part_of_the_file(
    url: str, store: httpx.AsyncClient, requested: str, content_range: str, bounds: tuple[int, int]
) -> None:
    whole = await store.get(url)

    part = await store.get(url, headers={"Range": requested, "If-Range": whole.headers["etag"]})

    assert (part.status_code, part.headers["content-range"]) == (206, content_range)
    assert part.content == whole.content[slice(*bounds)]


@pytest.mark.parametrize(
    "requested", ["bytes=9-3", "bytes=-", "lines=1-2", "bytes=0-1,5-6", "bytes=a-"]
)
async def test_a_range_that_is_not_understood_is_ignored(
    url: str, store: httpx.AsyncClient, requested: str
) -> None:
    answer = await store.get(url, headers={"Range": requested})

    assert (answer.status_code, len(answer.content)) == (200, SIZE)


async def test_a_range_behind_the_end_is_refused(url: str, store: httpx.AsyncClient) -> None:
    answer = await store.get(url, headers={"Range": "bytes=700000-"})

    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */700000")


async def test_a_range_is_ignored_if_download_ranges_is_off(
    client: Client, url: str, store: httpx.AsyncClient
) -> None:
    client.sandbox.behaviour.download_ranges = False

    answer = await store.get(url, headers={"Range": "bytes=5-"})

    assert (answer.status_code, len(answer.content)) == (200, SIZE)
    assert "accept-ranges" not in answer.headers


async def test_a_download_says_no_length_if_the_behaviour_says_so(
    client: Client, url: str, store: httpx.AsyncClient
) -> None:
    client.sandbox.behaviour.download_lengths = False

    answer = await store.get(url)

    assert ("content-length" in answer.headers, len(answer.content)) == (False, SIZE)


async def test_a_changed_file_has_other_bytes_another_tag_and_no_part_of_the_old_one(
    client: Client, url: str, store: httpx.AsyncClient
) -> None:
    before = await store.get(url)
    client.sandbox.faults.add(Fault(kind="download_change", count=1))
    tag = before.headers["etag"]

    after = await store.get(url, headers={"Range": "bytes=5-", "If-Range": tag})
    refused = await store.get(url, headers={"If-Match": tag})

    assert (after.status_code, len(after.content), refused.status_code) == (200, SIZE, 412)
    assert after.headers["etag"] != tag
    assert hashlib.sha256(after.content).digest() != hashlib.sha256(before.content).digest()


@pytest.mark.parametrize("kind", ["download_truncate", "download_reset"])
@pytest.mark.parametrize("lengths", [True, False])
async def test_a_download_that_breaks_off_continues_with_the_next_range(
    client: Client, url: str, store: httpx.AsyncClient, kind: Any, *, lengths: bool
) -> None:
    client.sandbox.behaviour.download_lengths = lengths
    client.sandbox.faults.add(Fault(kind=kind, count=1))

    received = await received_until_it_fails(store, url)
    rest = await store.get(url, headers={"Range": f"bytes={received}-"})

    assert received <= SIZE // 2
    assert rest.status_code == 206
    served = client.sandbox.request_log.files_served
    assert [(entry.first_byte, entry.fault) for entry in served] == [(0, kind), (received, None)]


async def test_a_stalled_download_goes_silent_in_its_midst(
    client: Client, url: str, store: httpx.AsyncClient
) -> None:
    client.sandbox.faults.add(Fault(kind="download_stall", count=1))
    store.timeout = httpx.Timeout(0.2)

    assert await received_until_it_fails(store, url) <= SIZE // 2


@pytest.mark.parametrize("kind", ["download_slow", "download_stall"])
async def test_a_slow_download_is_whole_in_the_end(
    client: Client, url: str, store: httpx.AsyncClient, kind: Any
) -> None:
    plain = await store.get(url)
    client.sandbox.faults.add(Fault(kind=kind, seconds=0.05, count=1))

    assert (await store.get(url)).content == plain.content


@pytest.mark.parametrize("status", [403, 404, 410, 500, 503])
async def test_a_refused_download_has_the_status_of_the_fault(
    client: Client, url: str, store: httpx.AsyncClient, status: int
) -> None:
    client.sandbox.faults.add(Fault(kind="download_refuse", status=status))

    assert [(await store.get(url)).status_code for _ in range(2)] == [status, status]


async def test_an_expired_url_stays_expired_and_the_next_get_has_another_that_works(
    client: Client, store: httpx.AsyncClient
) -> None:
    recording = await record(client)
    old = first_url(recording)
    client.sandbox.faults.add(Fault(kind="download_expire", count=1))

    refused = [(await store.get(old)).status_code for _ in range(2)]
    again = (await client.get(f"/recordings/{recording['id']}"))["data"]
    new = first_url(again)

    assert (refused, (await store.get(new)).status_code) == ([403, 403], 200)
    assert again["download_url_expiry"] > recording["download_url_expiry"]


async def test_a_redirect_leads_to_its_location_or_repeats_for_ever(
    client: Client, url: str, store: httpx.AsyncClient
) -> None:
    private = "http://169.254.169.254/latest/meta-data"
    client.sandbox.faults.add(Fault(kind="download_redirect", location=private, count=1))
    client.sandbox.faults.add(Fault(kind="download_redirect", count=40))

    first = await store.get(url)
    with pytest.raises(httpx.TooManyRedirects):
        await store.get(url, follow_redirects=True)

    assert (first.status_code, first.headers["location"]) == (302, private)


async def test_urls_of_files_point_to_the_root_that_the_behaviour_says(client: Client) -> None:
    client.sandbox.behaviour.download_root_url = "http://files.example.com"

    url = first_url(await record(client))

    assert url.startswith("http://files.example.com/files/")


async def test_a_fault_applies_to_the_file_names_of_its_operation(
    client: Client, url: str, store: httpx.AsyncClient
) -> None:
    client.sandbox.faults.add(Fault(kind="download_refuse", operation="other_*"))
    client.sandbox.faults.add(Fault(kind="refuse", operation="*"))

    assert (await store.get(url)).status_code == 200


async def test_a_url_is_signed_for_get_alone(url: str, store: httpx.AsyncClient) -> None:
    assert [(await store.request(method, url)).status_code for method in ("HEAD", "PUT")] == [
        403,
        403,
    ]


async def test_a_large_file_is_made_while_it_is_sent(client: Client) -> None:
    client.sandbox.behaviour.file_bytes = 5_000_000_000
    url = first_url(await record(client))
    async with (
        httpx.AsyncClient(verify=NO_AUTHORITIES) as http,
        http.stream("GET", url) as response,
    ):
        first = await anext(response.aiter_raw())
        assert response.headers["content-length"] == "5000000000"
        assert first.startswith(b"\x1a\x45\xdf\xa3")
    await asyncio.sleep(0)
