"""What a webhook is answered and what it changes, at the door that is served, on a real store."""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from recording_schemas import ErrorInfo
from sandbox.api.webhook_signing import Signer
from sandbox.services.postgresql import PostgreSQLServer
from sandbox.waiting import eventually
from tests.integration.webhook_bench import (
    WebhookBench,
    legacy_status_update,
    open_webhook_bench,
    status_update,
)
from worker.store.cursors import external_recordings_cursor
from worker.store.inbox import ClaimRequest
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store
from worker.tracking.webhook_endpoint import MAX_BODY_BYTES, MAX_CONCURRENT

FORWARD = ["RECORDING", "UPLOADING", "UPLOADED"]


@pytest.fixture
async def door(sqlite_url: str) -> AsyncIterator[WebhookBench]:
    async with open_webhook_bench(sqlite_url) as door:
        yield door
        assert door.asked_of_the_api == 0  # whatever a webhook says, it is not worth a request


# What it changes


@pytest.mark.parametrize("worded", [status_update, legacy_status_update])
async def test_each_status_that_moves_a_recording_forward_is_told(
    door: WebhookBench, worded: Any
) -> None:
    recording_id = await door.known()
    for status in FORWARD:
        assert await door.post(worded(recording_id, status)) == 204
    assert await door.told(recording_id) == ["INVOKED", *FORWARD]
    last = (await door.events(recording_id))[-1]["data"]
    assert (last["observed_by"], last["previous_status"]) == ("webhook", "UPLOADING")
    assert door.counted() == {"taken": 3}


async def test_the_details_come_along_with_a_status(door: WebhookBench) -> None:
    recording_id = await door.known()
    times = {"startedTime": "2026-06-03T10:00:00.000Z", "stoppedTime": "2026-06-03T10:30:00.000Z"}
    await door.tell(recording_id, "UPLOADING", recordingDuration=1800, **times)
    data = (await door.events(recording_id))[-1]["data"]
    assert data["started_time"] == "2026-06-03T10:00:00Z"
    assert (data["stopped_time"], data["recording_duration"]) == ("2026-06-03T10:30:00Z", 1800)


async def test_a_repeat_is_taken_and_changes_nothing(door: WebhookBench) -> None:
    recording_id = await door.known()
    await door.tell(recording_id, "UPLOADING")
    before = await door.recording(recording_id)
    assert await door.tell(recording_id, "UPLOADING", recordingDuration=5) == 204
    assert await door.recording(recording_id) == before
    assert not await door.is_due(recording_id)
    assert door.counted() == {"taken": 1, "repeated": 1}


async def test_what_tells_of_the_past_changes_nothing_and_needs_no_look(door: WebhookBench) -> None:
    recording_id = await door.known("UPLOADING")
    before = await door.recording(recording_id)
    for status in ("INVOKED", "RECORDING", "PAUSED"):
        assert await door.tell(recording_id, status) == 204
    assert await door.recording(recording_id) == before
    assert not await door.is_due(recording_id)


@pytest.mark.parametrize(("known", "told"), [("PAUSED", "RECORDING"), ("RECORDING", "PAUSED")])
async def test_a_replay_does_not_pause_or_resume_a_recording_but_has_it_read(
    door: WebhookBench, known: str, told: str
) -> None:
    recording_id = await door.known(known)
    assert await door.tell(recording_id, told) == 204
    assert await door.told(recording_id) == ["INVOKED", known]
    assert await door.is_due(recording_id)


async def test_an_upload_leaves_the_files_to_be_read(door: WebhookBench) -> None:
    recording_id = await door.known("RECORDING")
    await door.tell(recording_id, "UPLOADED", downloadUrl="https://files.example/whole.mp4")
    assert await door.is_due(recording_id)
    assert [one["type"] for one in await door.events(recording_id)][-1] == (
        "recording.status_changed.v1"
    )


async def conclude(door: WebhookBench, recording_id: str, code: str) -> None:
    error = ErrorInfo(code=code, message="concluded")
    await door.look(recording_id, "ERRORED", by="sweep", timeout_error=error)


async def test_of_a_recording_given_up_the_end_is_believed(door: WebhookBench) -> None:
    recording_id = await door.known("RECORDING")
    await conclude(door, recording_id, "vanished")
    await door.tell(recording_id, "UPLOADED")
    assert (await door.told(recording_id))[-1] == "UPLOADED"


async def test_of_a_recording_given_up_that_it_runs_is_looked_up(door: WebhookBench) -> None:
    recording_id = await door.known()
    await conclude(door, recording_id, "stalled")
    await door.tell(recording_id, "RECORDING")
    assert (await door.told(recording_id))[-1] == "ERRORED"
    assert await door.is_due(recording_id)


async def test_two_ends_that_contradict_have_it_read_and_change_nothing(door: WebhookBench) -> None:
    recording_id = await door.known("ERRORED")
    await door.tell(recording_id, "UPLOADED")
    assert await door.told(recording_id) == ["INVOKED", "ERRORED"]
    assert await door.is_due(recording_id)


async def test_the_words_of_an_error_are_told(door: WebhookBench) -> None:
    recording_id = await door.known()
    await door.tell(recording_id, "ERRORED", errMessage="the disk is full")
    error = (await door.events(recording_id))[1]["data"]["error"]
    assert error == {"code": "recording_errored", "message": "the disk is full"}


async def test_words_that_may_repeat_secrets_of_a_storage_are_not_told_but_looked_up(
    door: WebhookBench,
) -> None:
    recording_id = await door.known(kind="composite")
    await door.tell(recording_id, "ERRORED", errMessage="secret-key-of-the-bucket is refused")
    assert await door.told(recording_id) == ["INVOKED"]
    assert await door.is_due(recording_id)


async def test_when_a_webhook_last_told_of_it_is_known(door: WebhookBench) -> None:
    recording_id = await door.known()
    for status in ("RECORDING", "RECORDING", "INVOKED"):
        await door.tell(recording_id, status)
        found = (await door.store.tracked([recording_id]))[recording_id]
        assert found.last_webhook_at == door.time.timestamp()


# What it is answered


async def test_one_about_a_recording_that_is_not_ours_is_taken(door: WebhookBench) -> None:
    assert await door.tell("somebody-elses", "UPLOADED") == 204
    assert await door.store.unsent(10) == []
    assert await door.store.cursor(external_recordings_cursor("default")) is None
    assert door.counted() == {"not_ours": 1}


async def call_a_start(store: Store, slot: str = "m/track") -> None:
    """A replica claims a start, and the API is asked."""
    claim = ClaimRequest(
        command_id="start-1",
        command_type="start_track_recording",
        owner="somebody",
        now=0,
        lease_seconds=60,
        settle_seconds=30,
        abandoned_before=0,
        app="default",
        slot=slot,
    )
    assert (await store.claim(claim)).may_call


async def test_one_that_comes_before_its_start_is_committed_is_told_when_it_is(
    database_url: str,
) -> None:
    async with open_webhook_bench(database_url, follow_all=True) as door:
        await call_a_start(door.store)
        begun = door.time
        telling = asyncio.create_task(door.tell("early", "RECORDING"))
        await eventually(lambda: door.time - begun >= timedelta(seconds=2))  # two looks
        await door.look("early", "INVOKED")
        assert await telling == 204
        assert await door.told("early") == ["INVOKED", "RECORDING"]
        assert await door.store.cursor(external_recordings_cursor("default")) is None
        assert door.counted() == {"taken": 1}


async def test_one_whose_start_stays_under_way_is_to_be_repeated(door: WebhookBench) -> None:
    await call_a_start(door.store)
    assert await door.tell("early", "RECORDING") == 503
    await door.look("early", "INVOKED")
    assert await door.tell("early", "RECORDING") == 204
    assert await door.told("early") == ["INVOKED", "RECORDING"]


async def test_starts_of_other_meetings_and_those_that_nobody_is_at_work_on_are_not_waited_for(
    database_url: str,
) -> None:
    async with open_webhook_bench(database_url) as door:
        await call_a_start(door.store)
        elsewhere = status_update("theirs", "RECORDING") | {"meeting": {"id": "elsewhere"}}
        assert await door.post(elsewhere) == 204
        assert await door.post(legacy_status_update("theirs", "RECORDING")) == 204
        release = ReleaseRequest(
            command_id="start-1", owner="somebody", uncertain=True, last_error="", called_until=1.0
        )
        await door.store.release(release)
        assert await door.tell("theirs", "RECORDING") == 204
        assert door.counted() == {"not_ours": 3}


async def test_one_app_s_webhook_tells_nothing_of_another_app_s_recording(sqlite_url: str) -> None:
    """Each app has a key of its own, which speaks for that app alone."""
    async with open_webhook_bench(sqlite_url, apps=("default", "other")) as door:
        recording_id = await door.known(app="other")
        body = status_update(recording_id, "RECORDING")
        assert [await door.post(body, app=app) for app in ("default", "other")] == [204, 204]
        assert door.counted() == {"not_ours": 1, "taken": 1}


async def test_one_of_a_stranger_is_noted_when_the_whole_app_is_followed(sqlite_url: str) -> None:
    async with open_webhook_bench(sqlite_url, follow_all=True, apps=("eu", "us")) as door:
        for _ in range(2):
            assert await door.post(status_update("somebody-elses", "RECORDING"), app="eu") == 204
        assert await door.store.cursor(external_recordings_cursor("eu")) == door.time.timestamp()
        assert await door.store.cursor(external_recordings_cursor("us")) is None


@pytest.mark.parametrize("event", ["meeting.ended", "meeting.chatSynced", "of.tomorrow"])
async def test_an_event_of_another_kind_is_taken(door: WebhookBench, event: str) -> None:
    assert await door.post({"event": event, "meeting": {}}) == 204
    assert door.counted() == {"other_event": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\x00\xff", b'{"event":"recording.statusUpd'])
async def test_one_that_is_authentic_and_cannot_be_read_is_taken_and_counted(
    door: WebhookBench, body: bytes
) -> None:
    assert await door.post(body) == 204
    assert door.counted() == {"unreadable": 1}


async def test_an_unsigned_one_is_refused(door: WebhookBench) -> None:
    recording_id = await door.known()
    assert await door.post(status_update(recording_id, "RECORDING"), signed=False) == 401
    assert await door.told(recording_id) == ["INVOKED"]
    assert door.counted() == {"forged": 1}


async def test_a_forged_one_is_refused(door: WebhookBench) -> None:
    recording_id = await door.known()
    forged = Signer().signature(b"another body")
    for _ in range(2):
        assert await door.post(status_update(recording_id, "RECORDING"), signed=forged) == 401
    assert await door.told(recording_id) == ["INVOKED"]
    assert door.counted() == {"forged": 2}


async def test_the_signature_is_over_the_bytes_not_over_what_they_mean(door: WebhookBench) -> None:
    recording_id = await door.known()
    spaced = b'{ "event": "recording.statusUpdate", "recording": {"id": "%s", "status": "PAUSED"}}'
    body = spaced % recording_id.encode()
    assert await door.post(body) == 204
    assert await door.post(body.replace(b" ", b""), signed=door.signer.signature(body)) == 401


async def test_the_former_name_of_the_signature_is_taken_too(door: WebhookBench) -> None:
    recording_id = await door.known()
    assert await door.post(status_update(recording_id, "RECORDING"), header="Dyte-Signature") == 204
    assert await door.told(recording_id) == ["INVOKED", "RECORDING"]


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "application/json;;;", ""])
async def test_what_the_body_is_called_does_not_matter(door: WebhookBench, kind: str) -> None:
    recording_id = await door.known()
    assert (
        await door.post(status_update(recording_id, "UPLOADED"), headers={"Content-Type": kind})
        == 204
    )
    assert (await door.told(recording_id))[-1] == "UPLOADED"


async def test_a_large_one_is_refused_and_a_full_one_taken(door: WebhookBench) -> None:
    assert await door.post(b"x" * (MAX_BODY_BYTES + 1)) == 413
    assert await door.post(b"x" * MAX_BODY_BYTES) == 204
    assert door.counted() == {"too_large": 1, "unreadable": 1}


async def test_a_large_one_that_does_not_say_how_large_is_refused(door: WebhookBench) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 2):
            yield b"x" * 1024

    answer = await door.client.post(door.url, content=pieces(), headers={"rtk-signature": "QUJD"})
    assert answer.status_code == 413


async def test_a_compressed_one_is_not_unpacked(door: WebhookBench) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert await door.post(bomb, headers={"Content-Encoding": "gzip"}) == 204
    assert door.counted() == {"unreadable": 1}


async def test_one_that_breaks_off_is_not_held_against_its_sender(door: WebhookBench) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = "POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await door.tell(await door.known(), "RECORDING") == 204


async def test_one_that_does_not_arrive_in_time_is_given_up(sqlite_url: str) -> None:
    async with open_webhook_bench(sqlite_url, body_timeout=0.05) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        head = "POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
        writer.write(head.encode())
        assert b" 503 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


async def test_more_than_so_many_at_a_time_are_put_off(door: WebhookBench) -> None:
    head = b"POST /webhooks/realtimekit HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    slow = []
    for _ in range(MAX_CONCURRENT):
        _reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(head)
        await writer.drain()
        slow.append(writer)
    recording_id = await door.known()
    await eventually(lambda: door.in_progress == MAX_CONCURRENT)
    assert await door.tell(recording_id, "RECORDING") == 503
    for writer in slow:
        writer.close()
    await eventually(lambda: door.in_progress == 0)
    assert await door.tell(recording_id, "RECORDING") == 204


async def test_a_key_that_cannot_be_had_is_our_fault(door: WebhookBench) -> None:
    recording_id = await door.known()
    door.key_status = 500
    assert await door.tell(recording_id, "RECORDING") == 503
    assert door.counted() == {"unavailable": 1}


async def test_a_store_that_cannot_commit_is_our_fault(sqlite_url: str) -> None:
    async with open_webhook_bench(sqlite_url) as door:
        recording_id = await door.known()
        await door.store.close()
        assert await door.tell(recording_id, "RECORDING") == 503


@pytest.mark.parametrize("app", ["unknown", "", "a\x00b", "x" * 3_000])
async def test_an_app_that_is_not_configured_is_not_held_against_the_sender(
    sqlite_url: str, app: str
) -> None:
    async with open_webhook_bench(sqlite_url, apps=("eu", "us")) as door:
        assert await door.post(status_update("any", "RECORDING"), app=app) == 503


async def test_a_database_that_was_shut_down_is_our_fault_until_it_is_back(
    private_postgresql: PostgreSQLServer,
) -> None:
    async with open_webhook_bench(private_postgresql.new_database()) as door:
        recording_id = await door.known()
        private_postgresql.stop()
        assert await door.tell(recording_id, "RECORDING") == 503
        private_postgresql.start()
        statuses = [await door.tell(recording_id, "RECORDING") for _ in range(3)]
        assert statuses[-1] == 204
        assert await door.told(recording_id) == ["INVOKED", "RECORDING"]


# Many at a time


async def test_all_that_arrive_at_once_make_one_history(database_url: str) -> None:
    async with open_webhook_bench(database_url) as door:
        ids = [await door.known() for _ in range(5)]
        bodies = [
            worded(one, status)
            for one, status, worded in itertools.product(
                ids, FORWARD, (status_update, legacy_status_update)
            )
        ]
        statuses = await asyncio.gather(*(door.post(body) for body in bodies * 2))
        assert set(statuses) == {204}
        for one in ids:
            told = await door.told(one)
            assert told == sorted(set(told), key=["INVOKED", *FORWARD].index)
            assert told[-1] == "UPLOADED"


async def test_a_key_that_changes_meanwhile_loses_none(door: WebhookBench) -> None:
    recording_id = await door.known()
    await door.tell(recording_id, "RECORDING")
    door.signer = Signer()
    assert await door.tell(recording_id, "UPLOADING") == 204
    assert await door.told(recording_id) == ["INVOKED", "RECORDING", "UPLOADING"]
