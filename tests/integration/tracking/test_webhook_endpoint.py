"""The answers to webhooks and their effects, over HTTP and on a real store."""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from recording_sandbox.api.webhook_signing import Signer
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import eventually
from recording_schemas import ErrorInfo
from tests.integration.webhook_bench import (
    WebhookBench,
    legacy_status_update,
    open_webhook_bench,
    status_update,
)
from tests.plain_http import NO_AUTHORITIES
from tests.store_requests import claim_request
from worker.store.cursors import external_recordings_cursor
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store
from worker.tracking.webhook_endpoint import MAX_BODY_BYTES, MAX_CONCURRENT

FORWARD = ["RECORDING", "UPLOADING", "UPLOADED"]
LAYERS = [{"layer_name": "default", "download_urls": {"a.webm": {"download_url": "https://a"}}}]
"""The files of a track recording, as a webhook shows them."""


@pytest.fixture
async def bench(sqlite_url: str) -> AsyncIterator[WebhookBench]:
    async with open_webhook_bench(sqlite_url) as bench:
        yield bench
        assert bench.api_requests == 0  # a webhook never costs an API request here


# Effects


@pytest.mark.parametrize("worded", [status_update, legacy_status_update])
async def test_each_forward_status_is_published(bench: WebhookBench, worded: Any) -> None:
    recording_id = await bench.known_recording()
    for status in FORWARD:
        assert await bench.post(worded(recording_id, status)) == 204
    assert await bench.published_statuses(recording_id) == ["INVOKED", *FORWARD]
    last = (await bench.events(recording_id))[-1]["data"]
    assert (last["observed_by"], last["previous_status"]) == ("webhook", "UPLOADING")
    assert bench.verdict_counts() == {"taken": 3}


@pytest.mark.parametrize("known", [True, False])
async def test_files_are_kept_only_for_a_recording_that_is_due_to_be_read(
    bench: WebhookBench, known: bool
) -> None:
    recording_id = await bench.known_recording("RECORDING") if known else "r-1"
    await bench.send_status(recording_id, "UPLOADED", downloadUrl=LAYERS)
    assert (bench.shown_files["default"].take(recording_id) is not None) == known
    await bench.observe(recording_id, "UPLOADED", files=(), files_final=True)
    await bench.send_status(recording_id, "UPLOADED", downloadUrl=LAYERS)
    assert bench.shown_files["default"].take(recording_id) is None


async def test_the_details_are_published_with_the_status(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    times = {"startedTime": "2026-06-03T10:00:00.000Z", "stoppedTime": "2026-06-03T10:30:00.000Z"}
    await bench.send_status(recording_id, "UPLOADING", recordingDuration=1800, **times)
    data = (await bench.events(recording_id))[-1]["data"]
    assert data["started_time"] == "2026-06-03T10:00:00Z"
    assert (data["stopped_time"], data["recording_duration"]) == ("2026-06-03T10:30:00Z", 1800)


async def test_a_repeated_webhook_is_204_and_changes_nothing(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    await bench.send_status(recording_id, "UPLOADING")
    before = await bench.recording(recording_id)
    assert await bench.send_status(recording_id, "UPLOADING", recordingDuration=5) == 204
    assert await bench.recording(recording_id) == before
    assert not await bench.is_read_due(recording_id)
    assert bench.verdict_counts() == {"taken": 1, "repeated": 1}


async def test_a_webhook_about_the_past_changes_nothing_and_causes_no_read(
    bench: WebhookBench,
) -> None:
    recording_id = await bench.known_recording("UPLOADING")
    before = await bench.recording(recording_id)
    for status in ("INVOKED", "RECORDING", "PAUSED"):
        assert await bench.send_status(recording_id, status) == 204
    assert await bench.recording(recording_id) == before
    assert not await bench.is_read_due(recording_id)


@pytest.mark.parametrize(("known", "reported"), [("PAUSED", "RECORDING"), ("RECORDING", "PAUSED")])
async def test_a_replayed_webhook_does_not_pause_or_resume_but_causes_a_read(
    bench: WebhookBench, known: str, reported: str
) -> None:
    recording_id = await bench.known_recording(known)
    assert await bench.send_status(recording_id, reported) == 204
    assert await bench.published_statuses(recording_id) == ["INVOKED", known]
    assert await bench.is_read_due(recording_id)


async def test_an_upload_makes_a_read_of_the_files_due(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording("RECORDING")
    await bench.send_status(recording_id, "UPLOADED", downloadUrl="https://files.example/whole.mp4")
    assert await bench.is_read_due(recording_id)
    assert [event["type"] for event in await bench.events(recording_id)][-1] == (
        "recording.status_changed.v1"
    )


URLS = {
    "outputFileName": "call.mp4",
    "downloadUrl": "https://files.example/call.mp4",
    "audioDownloadUrl": "https://files.example/call.mp3",
}


async def test_a_composite_whose_webhook_shows_all_files_completes_without_a_read(
    bench: WebhookBench,
) -> None:
    recording_id = await bench.known_recording("RECORDING", kind="composite")
    for _ in range(2):  # the API repeats webhooks
        await bench.send_status(recording_id, "UPLOADED", **URLS)
    events = await bench.events(recording_id)
    assert [event["type"].split(".")[1] for event in events[-4:]] == [
        "status_changed",
        "file_ready",
        "file_ready",
        "completed",
    ]
    assert events[-1]["data"]["files"] == ["call.mp4", "call.mp3"]
    assert not await bench.is_read_due(recording_id)
    assert bench.api_requests == 0


async def test_a_webhook_that_shows_some_files_publishes_them_and_makes_a_read_due(
    bench: WebhookBench,
) -> None:
    recording_id = await bench.known_recording("RECORDING", kind="composite")
    await bench.send_status(recording_id, "UPLOADED", **(URLS | {"audioDownloadUrl": None}))
    events = await bench.events(recording_id)
    assert [event["type"] for event in events].count("recording.file_ready.v1") == 1
    assert "recording.completed.v1" not in {event["type"] for event in events}
    assert await bench.is_read_due(recording_id)


async def conclude(bench: WebhookBench, recording_id: str, code: str) -> None:
    error = ErrorInfo(code=code, message="timed out")
    await bench.observe(recording_id, "ERRORED", by="sweep", timeout_error=error)


async def test_a_webhook_ends_a_timed_out_recording(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording("RECORDING")
    await conclude(bench, recording_id, "vanished")
    await bench.send_status(recording_id, "UPLOADED")
    assert (await bench.published_statuses(recording_id))[-1] == "UPLOADED"


async def test_a_webhook_that_a_timed_out_recording_runs_causes_a_read(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    await conclude(bench, recording_id, "stalled")
    await bench.send_status(recording_id, "RECORDING")
    assert (await bench.published_statuses(recording_id))[-1] == "ERRORED"
    assert await bench.is_read_due(recording_id)


async def test_contradicting_ends_change_nothing_and_cause_a_read(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording("ERRORED")
    await bench.send_status(recording_id, "UPLOADED")
    assert await bench.published_statuses(recording_id) == ["INVOKED", "ERRORED"]
    assert await bench.is_read_due(recording_id)


async def test_the_text_of_an_error_is_published(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    await bench.send_status(recording_id, "ERRORED", errMessage="the disk is full")
    error = (await bench.events(recording_id))[1]["data"]["error"]
    assert error == {"code": "recording_errored", "message": "the disk is full"}


async def test_text_that_may_repeat_storage_secrets_is_read_again_instead_of_published(
    bench: WebhookBench,
) -> None:
    recording_id = await bench.known_recording(kind="composite")
    await bench.send_status(
        recording_id, "ERRORED", errMessage="secret-key-of-the-bucket is refused"
    )
    assert await bench.published_statuses(recording_id) == ["INVOKED"]
    assert await bench.is_read_due(recording_id)


async def test_the_time_of_the_last_webhook_is_stored(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    for status in ("RECORDING", "RECORDING", "INVOKED"):
        await bench.send_status(recording_id, status)
        found = (await bench.store.find_tracked([recording_id]))[recording_id]
        assert found.webhook_at == bench.time.timestamp()


# Answers


async def test_a_webhook_about_an_unknown_recording_is_204(bench: WebhookBench) -> None:
    assert await bench.send_status("somebody-elses", "UPLOADED") == 204
    assert await bench.store.unsent(10) == []
    assert await bench.store.cursor(external_recordings_cursor("default")) is None
    assert bench.verdict_counts() == {"not_ours": 1}


async def call_a_start(store: Store) -> None:
    """A replica claims a start, and the API is asked."""
    claim = claim_request("start-1", owner="somebody", now=0, app="default", slot="m/track")
    assert (await store.claim(claim)).may_call


async def test_a_webhook_before_the_commit_of_its_start_is_published_after_it(
    database_url: str,
) -> None:
    async with open_webhook_bench(database_url, follow_all=True) as bench:
        await call_a_start(bench.store)
        begun = bench.time
        sending = asyncio.create_task(bench.send_status("early", "RECORDING"))
        await eventually(
            lambda: bench.time - begun >= timedelta(seconds=2)
        )  # two reads of the store
        await bench.observe("early", "INVOKED")
        assert await sending == 204
        assert await bench.published_statuses("early") == ["INVOKED", "RECORDING"]
        assert await bench.store.cursor(external_recordings_cursor("default")) is None
        assert bench.verdict_counts() == {"taken": 1}


async def test_a_webhook_whose_start_does_not_finish_in_time_is_answered_with_503(
    bench: WebhookBench,
) -> None:
    await call_a_start(bench.store)
    assert await bench.send_status("early", "RECORDING") == 503
    await bench.observe("early", "INVOKED")
    assert await bench.send_status("early", "RECORDING") == 204
    assert await bench.published_statuses("early") == ["INVOKED", "RECORDING"]


async def test_a_webhook_does_not_wait_for_other_meetings_or_for_idle_starts(
    database_url: str,
) -> None:
    async with open_webhook_bench(database_url) as bench:
        await call_a_start(bench.store)
        elsewhere = status_update("theirs", "RECORDING") | {"meeting": {"id": "elsewhere"}}
        assert await bench.post(elsewhere) == 204
        assert await bench.post(legacy_status_update("theirs", "RECORDING")) == 204
        release = ReleaseRequest(
            command_id="start-1", owner="somebody", uncertain=True, last_error="", called_until=1.0
        )
        await bench.store.release(release)
        assert await bench.send_status("theirs", "RECORDING") == 204
        assert bench.verdict_counts() == {"not_ours": 3}


async def test_a_webhook_changes_no_recording_of_another_app(sqlite_url: str) -> None:
    """Each app has its own key, which is valid for that app alone."""
    async with open_webhook_bench(sqlite_url, apps=("default", "other")) as bench:
        recording_id = await bench.known_recording(app="other")
        body = status_update(recording_id, "RECORDING")
        assert [await bench.post(body, app=app) for app in ("default", "other")] == [204, 204]
        assert bench.verdict_counts() == {"not_ours": 1, "taken": 1}


async def test_a_webhook_about_an_unknown_recording_is_noted_when_the_whole_app_is_tracked(
    sqlite_url: str,
) -> None:
    async with open_webhook_bench(sqlite_url, follow_all=True, apps=("eu", "us")) as bench:
        for _ in range(2):
            assert await bench.post(status_update("somebody-elses", "RECORDING"), app="eu") == 204
        assert await bench.store.cursor(external_recordings_cursor("eu")) == bench.time.timestamp()
        assert await bench.store.cursor(external_recordings_cursor("us")) is None


@pytest.mark.parametrize("event", ["meeting.ended", "meeting.chatSynced", "of.tomorrow"])
async def test_an_event_of_another_kind_is_204(bench: WebhookBench, event: str) -> None:
    assert await bench.post({"event": event, "meeting": {}}) == 204
    assert bench.verdict_counts() == {"other_event": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\x00\xff", b'{"event":"recording.statusUpd'])
async def test_an_authentic_unreadable_webhook_is_204_and_counted(
    bench: WebhookBench, body: bytes
) -> None:
    assert await bench.post(body) == 204
    assert bench.verdict_counts() == {"unreadable": 1}


async def test_an_unsigned_webhook_is_401(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    assert await bench.post(status_update(recording_id, "RECORDING"), signed=False) == 401
    assert await bench.published_statuses(recording_id) == ["INVOKED"]
    assert bench.verdict_counts() == {"forged": 1}


async def test_a_forged_webhook_is_401(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    forged = Signer().signature(b"another body")
    for _ in range(2):
        assert await bench.post(status_update(recording_id, "RECORDING"), signed=forged) == 401
    assert await bench.published_statuses(recording_id) == ["INVOKED"]
    assert bench.verdict_counts() == {"forged": 2}


async def test_the_signature_covers_the_bytes_not_their_meaning(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    spaced = b'{ "event": "recording.statusUpdate", "recording": {"id": "%s", "status": "PAUSED"}}'
    body = spaced % recording_id.encode()
    assert await bench.post(body) == 204
    assert await bench.post(body.replace(b" ", b""), signed=bench.signer.signature(body)) == 401


async def test_the_former_name_of_the_signature_header_is_accepted(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    assert (
        await bench.post(status_update(recording_id, "RECORDING"), header="Dyte-Signature") == 204
    )
    assert await bench.published_statuses(recording_id) == ["INVOKED", "RECORDING"]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "application/json;;;", ""])
async def test_the_content_type_does_not_matter(bench: WebhookBench, kind: str) -> None:
    recording_id = await bench.known_recording()
    assert (
        await bench.post(status_update(recording_id, "UPLOADED"), headers={"Content-Type": kind})
        == 204
    )
    assert (await bench.published_statuses(recording_id))[-1] == "UPLOADED"


async def test_a_body_above_the_limit_is_413_and_a_body_at_the_limit_is_204(
    bench: WebhookBench,
) -> None:
    assert await bench.post(b"x" * (MAX_BODY_BYTES + 1)) == 413
    assert await bench.post(b"x" * MAX_BODY_BYTES) == 204
    assert bench.verdict_counts() == {"too_large": 1, "unreadable": 1}


async def test_a_chunked_body_above_the_limit_is_413(bench: WebhookBench) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536 + 2):
            yield b"x" * 65_536

    async with httpx.AsyncClient(trust_env=False, verify=NO_AUTHORITIES) as client:
        answer = await client.post(bench.url, content=pieces(), headers={"rtk-signature": "QUJD"})
    assert answer.status_code == 413


async def test_a_compressed_body_is_not_decompressed(bench: WebhookBench) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert await bench.post(bomb, headers={"Content-Encoding": "gzip"}) == 204
    assert bench.verdict_counts() == {"unreadable": 1}


async def test_an_incomplete_body_is_503(bench: WebhookBench) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    head = "POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await bench.send_status(await bench.known_recording(), "RECORDING") == 204


async def test_a_body_that_does_not_arrive_in_time_is_503(sqlite_url: str) -> None:
    async with open_webhook_bench(sqlite_url, body_timeout=0.05) as bench:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.port)
        head = "POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n"
        writer.write(f"{head}rtk-signature: QUJD\r\n\r\n{{".encode())
        assert b" 503 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_too_many_concurrent_webhooks_are_503(sqlite_url: str) -> None:
    async with open_webhook_bench(sqlite_url) as bench:
        await call_a_start(bench.store)  # each webhook waits for its commit
        recording_id = await bench.known_recording()
        waiting = [
            asyncio.create_task(bench.send_status(f"early-{number}", "RECORDING"))
            for number in range(MAX_CONCURRENT)
        ]
        await eventually(lambda: bench.in_progress == MAX_CONCURRENT)
        assert await bench.send_status(recording_id, "RECORDING") == 503
        await asyncio.gather(*waiting)
        assert await bench.send_status(recording_id, "RECORDING") == 204


async def test_a_key_that_cannot_be_fetched_is_503(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    bench.key_status = 500
    assert await bench.send_status(recording_id, "RECORDING") == 503
    assert bench.verdict_counts() == {"unavailable": 1}


async def test_a_store_that_cannot_commit_is_503(sqlite_url: str) -> None:
    async with open_webhook_bench(sqlite_url) as bench:
        recording_id = await bench.known_recording()
        await bench.store.close()
        assert await bench.send_status(recording_id, "RECORDING") == 503


async def test_the_files_of_a_webhook_that_cannot_be_committed_are_not_kept(
    sqlite_url: str,
) -> None:
    async with open_webhook_bench(sqlite_url) as bench:
        recording_id = await bench.known_recording()
        await bench.store.close()
        assert await bench.send_status(recording_id, "UPLOADED", downloadUrl=LAYERS) == 503
        assert bench.shown_files["default"].take(recording_id) is None


@pytest.mark.parametrize("app", ["unknown", "", "a\x00b", "x" * 3_000])
async def test_an_app_that_is_not_configured_is_503(sqlite_url: str, app: str) -> None:
    async with open_webhook_bench(sqlite_url, apps=("eu", "us")) as bench:
        assert await bench.post(status_update("any", "RECORDING"), app=app) == 503


async def test_an_unsigned_webhook_for_an_app_that_is_not_configured_is_401(
    sqlite_url: str,
) -> None:
    async with open_webhook_bench(sqlite_url, apps=("eu", "us")) as bench:
        update = status_update("any", "RECORDING")
        assert await bench.post(update, app="unknown", signed=False) == 401
        assert bench.verdict_counts() == {"forged": 1}


async def test_a_webhook_is_503_until_the_database_is_back(
    private_postgresql: PostgreSQLServer,
) -> None:
    async with open_webhook_bench(private_postgresql.new_database()) as bench:
        recording_id = await bench.known_recording()
        private_postgresql.stop()
        assert await bench.send_status(recording_id, "RECORDING") == 503
        private_postgresql.start()
        statuses = [await bench.send_status(recording_id, "RECORDING") for _ in range(3)]
        assert statuses[-1] == 204
        assert await bench.published_statuses(recording_id) == ["INVOKED", "RECORDING"]


# Concurrent webhooks


async def test_concurrent_webhooks_make_one_history(database_url: str) -> None:
    async with open_webhook_bench(database_url) as bench:
        ids = [await bench.known_recording() for _ in range(5)]
        bodies = [
            worded(recording_id, status)
            for recording_id, status, worded in itertools.product(
                ids, FORWARD, (status_update, legacy_status_update)
            )
        ]
        statuses = await asyncio.gather(*(bench.post(body) for body in bodies * 2))
        assert set(statuses) == {204}
        for recording_id in ids:
            published = await bench.published_statuses(recording_id)
            assert published == sorted(set(published), key=["INVOKED", *FORWARD].index)
            assert published[-1] == "UPLOADED"


async def test_a_changed_key_loses_no_webhook(bench: WebhookBench) -> None:
    recording_id = await bench.known_recording()
    await bench.send_status(recording_id, "RECORDING")
    bench.signer = Signer()
    assert await bench.send_status(recording_id, "UPLOADING") == 204
    assert await bench.published_statuses(recording_id) == ["INVOKED", "RECORDING", "UPLOADING"]
