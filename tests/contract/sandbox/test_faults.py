"""Each fault, as a client of the API receives it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.faults import Fault
from tests.contract.sandbox.sandbox_client import Client, connected_client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected_client() as client:
        yield client


async def start(client: Client) -> httpx.Response:
    return await client.call("POST", "/recordings/track", json={"meeting_id": client.meeting_id})


@pytest.mark.parametrize("kind", ["lost_reset", "lost_half"])
async def test_a_start_whose_response_is_lost_starts_a_recording(client: Client, kind: Any) -> None:
    client.sandbox.faults.add(Fault(kind=kind, operation="start_track_recording", count=1))

    with pytest.raises(httpx.TransportError):
        await start(client)

    listed = await client.get("/recordings", meeting_id=client.meeting_id)
    assert len(listed["data"]) == 1
    (request, _) = client.sandbox.request_log.requests
    assert (request.status, request.fault) == (200, kind)
    assert request.recording_id == listed["data"][0]["id"]


async def test_an_odd_answer_is_a_success_that_does_not_name_the_recording(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="lost_odd", count=20))
    for number in range(20):
        answer = await start(client)
        assert answer.status_code == 200
        (*_, request) = client.sandbox.request_log.requests
        assert str(request.recording_id) not in answer.text, number
    assert client.sandbox.request_log.counts["started.track"] == 20


async def test_a_502_from_the_edge_hides_that_the_request_was_processed(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="lost_502", count=1))

    answer = await start(client)

    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html")
    assert client.sandbox.request_log.counts["started.track"] == 1


async def test_a_hanging_response_is_logged_before_the_client_times_out(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="lost_hang", count=1))
    waiting = asyncio.create_task(start(client))

    await client.sandbox.request_log.until(lambda log: log.started)

    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_late_start_is_processed_after_its_client_has_gone(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="late", seconds=1, count=1))

    with pytest.raises(httpx.ReadTimeout):
        await client.call(
            "POST",
            "/recordings/track",
            json={"meeting_id": client.meeting_id},
            timeout=httpx.Timeout(5, read=0.05),
        )
    before = client.sandbox.request_log.counts["started.track"]
    await client.sandbox.request_log.until(lambda log: log.started)

    assert before == 0


async def test_a_reset_before_processing_starts_nothing(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="reset", count=1))

    with pytest.raises(httpx.TransportError):
        await start(client)

    assert client.sandbox.request_log.counts["started.track"] == 0


@pytest.mark.parametrize(
    ("envelope", "body"),
    [
        ("realtimekit", {"success": False, "error": {"code": 503, "message": "away"}}),
        (
            "cloudflare",
            {
                "success": False,
                "errors": [{"code": 503, "message": "away"}],
                "messages": [],
                "result": None,
            },
        ),
        ("message", {"message": "away"}),
    ],
)
async def test_a_refusal_has_the_chosen_envelope_and_starts_nothing(
    client: Client, envelope: Any, body: object
) -> None:
    client.sandbox.faults.add(Fault(kind="refuse", envelope=envelope, message="away"))

    answer = await start(client)

    assert (answer.status_code, answer.json()) == (503, body)
    assert client.sandbox.request_log.counts["started.track"] == 0


@pytest.mark.parametrize("envelope", ["html", "empty"])
async def test_a_refusal_may_have_a_body_that_is_not_json(client: Client, envelope: Any) -> None:
    client.sandbox.faults.add(Fault(kind="refuse", status=520, envelope=envelope))

    answer = await start(client)

    assert answer.status_code == 520
    assert not answer.text.startswith("{")


async def test_retry_after_is_in_seconds_or_a_date(client: Client) -> None:
    faults = client.sandbox.faults
    faults.add(Fault(kind="refuse", status=429, retry_after=7, code=971, count=1))
    faults.add(Fault(kind="refuse", status=429, retry_after=60, retry_after_date=True, count=1))

    seconds, date = await start(client), await start(client)

    assert (seconds.headers["retry-after"], seconds.json()["error"]["code"]) == ("7", 971)
    asked_at = parsedate_to_datetime(date.headers["date"])
    away = parsedate_to_datetime(date.headers["retry-after"]) - asked_at
    assert 50 < away.total_seconds() <= 60


async def test_a_slow_request_is_processed_at_once(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="slow", seconds=0.2))
    waiting = asyncio.create_task(start(client))

    await client.sandbox.request_log.until(lambda log: log.started)

    assert not waiting.done()
    assert (await waiting).status_code == 200


async def test_fields_can_be_omitted_from_responses(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="omit", fields=("session_id", "invoked_time")))

    started = (await start(client)).json()["data"]["recording"]
    listed = (await client.get("/recordings"))["data"][0]
    recording = (await client.get(f"/recordings/{started['id']}"))["data"]

    assert not {"session_id", "invoked_time"} & (set(started) | set(listed) | set(recording))


async def test_the_response_to_a_track_start_may_be_flat(client: Client) -> None:
    client.sandbox.behaviour.track_start_nested = False

    assert (await start(client)).json()["data"]["status"] == "INVOKED"


async def test_an_error_message_may_contain_the_whole_request(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="echo_body", operation="start_recording"))
    storage = {"type": "aws", "secret": "SECRET-2"}

    answer = await client.call(
        "POST", "/recordings", json={"meeting_id": client.meeting_id, "storage_config": storage}
    )

    assert answer.status_code == 400
    assert "SECRET-2" in answer.json()["error"]["message"]


async def test_a_vanished_recording_cannot_be_read_or_listed(client: Client) -> None:
    recording_id = await client.start_track()
    recordings = client.sandbox.recordings
    recordings.vanish(recordings.index.get(recording_id))

    response = await client.call("GET", f"/recordings/{recording_id}")

    assert response.status_code == 404
    assert (await client.get("/recordings"))["data"] == []
    assert (await client.get("/recordings", meeting_id=client.meeting_id))["data"] == []


async def test_files_can_be_missing_for_some_time_after_the_upload(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="no_files", seconds=30))
    recording_id = await client.start_track()
    at_first = await client.uploaded(recording_id)

    client.sandbox.clock.advance(30)
    later = (await client.get(f"/recordings/{recording_id}"))["data"]

    assert (at_first["status"], at_first["download_url"]) == ("UPLOADED", [])
    assert at_first["recording_duration"] == 10
    assert len(later["download_url"][0]["download_urls"]) == 3


async def test_files_can_be_missing_forever(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="no_files"))
    recording_id = await client.start_track()
    await client.uploaded(recording_id)

    client.sandbox.clock.advance(1_000_000)

    assert (await client.get(f"/recordings/{recording_id}"))["data"]["download_url"] == []


async def names_and_urls(client: Client, recording_id: str) -> dict[str, bool]:
    """The files that a GET lists now, and whether each has its URL."""
    recording = (await client.get(f"/recordings/{recording_id}"))["data"]
    files = {
        name: file.get("download_url")
        for layer in recording["download_url"] or ()
        for name, file in layer["download_urls"].items()
    }
    return {name: url is not None for name, url in files.items()}


async def test_tracks_can_be_listed_one_after_the_other(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="late_files", seconds=5))
    recording_id = await client.start_track()
    await client.uploaded(recording_id)
    counts = []
    for _ in range(4):
        counts.append(len(await names_and_urls(client, recording_id)))
        client.sandbox.clock.advance(5)
    assert counts == [1, 2, 3, 3]


async def test_tracks_can_be_listed_before_they_have_urls(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="late_urls", seconds=5))
    recording_id = await client.start_track()
    await client.uploaded(recording_id)
    before = await names_and_urls(client, recording_id)
    client.sandbox.clock.advance(5)
    after = await names_and_urls(client, recording_id)
    assert before == dict.fromkeys(after, False)
    assert len(after) == 3
    assert all(after.values())


async def test_the_sound_of_a_composite_can_be_listed_after_its_picture(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="late_audio", seconds=5))
    recording_id = await client.start_composite()
    before = await client.uploaded(recording_id)
    client.sandbox.clock.advance(5)
    after = (await client.get(f"/recordings/{recording_id}"))["data"]
    assert before["download_url"]
    assert [before["audio_download_url"] is None, after["audio_download_url"] is None] == [
        True,
        False,
    ]


async def test_a_revoked_token_is_refused_until_it_is_allowed_again(client: Client) -> None:
    tokens = client.sandbox.tokens
    statuses = []
    for change in (tokens.revoke, tokens.allow):
        change("any")
        statuses.append((await client.call("GET", "/recordings")).status_code)

    assert statuses == [401, 200]


async def test_a_breach_of_the_rate_limit_blocks_every_call_and_is_logged() -> None:
    behaviour = Behaviour(rate_limits=("3/60",))
    async with connected_client(SandboxOptions(behaviour=behaviour)) as client:
        answers = [await client.call("GET", "/recordings") for _ in range(5)]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=60'
        assert answers[3].headers["retry-after"] == "300"
        assert answers[3].json()["errors"][0]["code"] == 971
        assert client.sandbox.rate_limiter.breaches == 1
        assert [request.breach for request in client.sandbox.request_log.requests][2:4] == [
            False,
            True,
        ]


async def test_the_log_counts_requests_in_flight_of_the_same_operation_and_meeting(
    client: Client,
) -> None:
    client.sandbox.faults.add(Fault(kind="slow", seconds=0.2, count=1))
    slow = asyncio.create_task(start(client))
    await client.sandbox.request_log.until(lambda log: log.started)
    await start(client)
    await slow
    await start(client)

    assert [request.in_flight for request in client.sandbox.request_log.requests] == [0, 1, 0]


async def test_a_fault_of_one_meeting_does_not_affect_others(client: Client) -> None:
    client.sandbox.faults.add(Fault(kind="refuse", meeting_id=client.meeting_id))
    first = await start(client)
    client.meeting_id = str(uuid.uuid4())

    second = await start(client)

    assert (first.status_code, second.status_code) == (503, 200)


async def test_no_token_is_ever_in_the_request_log(client: Client) -> None:
    await client.call("GET", "/recordings", headers={"Authorization": "Bearer TOP-SECRET"})

    assert "TOP-SECRET" not in str(client.sandbox.request_log.entries())
    assert client.sandbox.request_log.requests[0].token == 1
