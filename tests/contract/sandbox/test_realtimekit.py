"""The client against the emulated API, over real HTTP: each operation and each failure."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, get_args

import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.behaviour import FileNameForm
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from worker.domain.errors import (
    ApiError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Refused,
    RefusedForNow,
    Throttled,
    Unauthorized,
    Unavailable,
)
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile, owned_files
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
OTHER_MEETING = "11140c6a-140b-40a9-9499-b23fd7a3868a"
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
PREFIX = "job_7_a"
EVENTS = ("recording.statusUpdate", "meeting.ended")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox whose clock stands still until a test advances it."""
    async with Sandbox(SandboxOptions(seed=1), clock=Clock(speed=0)) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[RealtimeKitClient]:
    client = client_of(sandbox)
    yield client
    await client.aclose()


def client_of(sandbox: Sandbox, **changed: Any) -> RealtimeKitClient:
    options: dict[str, Any] = {
        "base_url": sandbox.base_url,
        "account_id": "acc",
        "app_id": "app",
        "token": lambda: "any-token",
        "timeout": 10.0,
        "retry": RequestRetry(attempts=3, base_seconds=0.001),
    }
    return RealtimeKitClient(**(options | changed))


def track_body(meeting_id: str = MEETING, **fields: object) -> dict[str, object]:
    return {"meeting_id": meeting_id, "layers": {"default": {"file_name_prefix": PREFIX}}} | fields


def starts(sandbox: Sandbox) -> int:
    return len(sandbox.request_log.started)


async def owned(
    client: RealtimeKitClient, found: RecordingSnapshot, user_ids: Sequence[str] = ()
) -> tuple[TrackFile, ...]:
    assert found.session_id is not None
    return owned_files(
        found.files,
        prefixes=[PREFIX],
        user_ids=user_ids,
        participants=await client.list_participants(found.session_id),
    )


async def recorded_track(sandbox: Sandbox, client: RealtimeKitClient) -> RecordingSnapshot:
    started = await client.start_track_recording(track_body())
    sandbox.clock.advance(30)
    await client.control_recording(started.recording_id, "stop")
    sandbox.clock.advance(30)
    return await client.get_recording(started.recording_id)


@pytest.mark.parametrize("nested", [True, False])
async def test_a_track_recording_goes_from_invoked_to_uploaded(
    sandbox: Sandbox, client: RealtimeKitClient, nested: bool
) -> None:
    sandbox.behaviour.track_start_nested = nested
    started = await client.start_track_recording(track_body())
    assert (started.kind, started.status, started.meeting_id) == (
        "track",
        Status.INVOKED,
        MEETING,
    )
    sandbox.clock.advance(10)
    statuses = [(await client.get_recording(started.recording_id)).status]
    statuses.append((await client.control_recording(started.recording_id, "pause")).status)
    statuses.append((await client.control_recording(started.recording_id, "resume")).status)
    statuses.append((await client.control_recording(started.recording_id, "stop")).status)
    sandbox.clock.advance(10)
    ended = await client.get_recording(started.recording_id)
    assert [*statuses, ended.status] == [
        Status.RECORDING,
        Status.PAUSED,
        Status.RECORDING,
        Status.UPLOADING,
        Status.UPLOADED,
    ]
    assert (ended.start_reason, ended.stop_reason) == ("API_CALL", "API_CALL")
    assert (ended.recording_duration, len(ended.files)) == (9, 3)
    assert ended.download_url_expiry is not None


@pytest.mark.parametrize("shape", ["layers", "links"])
async def test_every_file_has_its_owner_also_after_a_rejoin(
    sandbox: Sandbox, client: RealtimeKitClient, shape: Any
) -> None:
    sandbox.behaviour.track_download_url = shape
    meetings = sandbox.meetings
    meeting = meetings.create(MEETING, participants=["anna", "bert", "cleo"])
    anna, bert, _ = meeting.participants
    started = await client.start_track_recording(track_body(user_ids=[anna, bert]))
    sandbox.clock.advance(10)
    meetings.leave(MEETING, anna)
    sandbox.clock.advance(10)
    meetings.join(MEETING, anna)
    sandbox.clock.advance(10)
    await client.control_recording(started.recording_id, "stop")
    sandbox.clock.advance(10)
    files = await owned(client, await client.get_recording(started.recording_id), [anna, bert])
    assert [
        (file.file_name, file.user_id, file.peer_id, file.custom_participant_id) for file in files
    ] == [
        (file.name, file.user_id, file.peer_id, file.custom_participant_id)
        for file in sorted(sandbox.request_log.files, key=lambda file: (file.name[-18:], file.name))
    ]
    assert sorted(file.custom_participant_id or "" for file in files) == ["anna", "anna", "bert"]


@pytest.mark.parametrize("form", get_args(FileNameForm))
async def test_a_file_has_its_owner_with_any_ending_of_its_name(
    sandbox: Sandbox, client: RealtimeKitClient, form: Any
) -> None:
    sandbox.behaviour.change({"track_file_names": form})
    sandbox.meetings.create(MEETING, participants=["anna"])
    (file,) = await owned(client, await recorded_track(sandbox, client))
    (media,) = sandbox.request_log.files
    assert (file.user_id, file.peer_id, file.custom_participant_id) == (
        media.user_id,
        media.peer_id,
        "anna",
    )
    assert file.recorded_at is not None


async def test_a_track_recordings_single_url_is_a_file_with_an_owner(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    sandbox.behaviour.track_download_url = "string"
    sandbox.meetings.create(MEETING, participants=["anna"])
    (file,) = await owned(client, await recorded_track(sandbox, client))
    assert (file.custom_participant_id, file.media_kind) == ("anna", "audio")


@pytest.mark.parametrize("shape", ["null", "empty_list", "empty_links"])
async def test_an_uploaded_recording_may_have_no_files_yet(
    sandbox: Sandbox, client: RealtimeKitClient, shape: Any
) -> None:
    sandbox.behaviour.track_download_url = shape
    ended = await recorded_track(sandbox, client)
    assert (ended.status, ended.kind, ended.files) == (Status.UPLOADED, "track", ())


async def test_a_composite_recording_has_a_file_and_its_sound(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    started = await client.start_composite_recording({"meeting_id": MEETING})
    sandbox.clock.advance(10)
    await client.control_recording(started.recording_id, "stop")
    sandbox.clock.advance(10)
    ended = await client.get_recording(started.recording_id)
    assert (started.kind, ended.kind) == ("composite", "composite")
    assert [file.media for file in ended.files] == ["video", "audio"]
    assert {file.name for file in ended.files} == {file.name for file in sandbox.request_log.files}


async def test_a_file_in_the_customers_storage_has_a_location_and_no_url(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    storage = {
        "type": "aws",
        "access_key": "AKIAIOSFODNN7",
        "secret": "wJalrXUtnFEMI",
        "bucket": "calls",
        "region": "eu-west-1",
        "path": "a/b",
    }
    body = {
        "meeting_id": MEETING,
        "storage_config": storage,
        "realtimekit_bucket_config": {"enabled": False},
    }
    started = await client.start_composite_recording(body)
    sandbox.clock.advance(10)
    await client.control_recording(started.recording_id, "stop")
    sandbox.clock.advance(10)
    ended = await client.get_recording(started.recording_id)
    assert ended.storage is not None
    assert (ended.storage.bucket, ended.storage.path) == ("calls", "a/b")
    assert ended.files
    assert all(file.download_url is None for file in ended.files)
    assert "wJalrXUtnFEMI" not in repr(ended)


async def test_a_second_composite_in_a_meeting_is_a_conflict(
    client: RealtimeKitClient,
) -> None:
    await client.start_composite_recording({"meeting_id": MEETING})
    with pytest.raises(Conflict) as raised:
        await client.start_composite_recording({"meeting_id": MEETING})
    assert raised.value.code == "already_recording"


async def test_an_invoked_recording_cannot_be_stopped(client: RealtimeKitClient) -> None:
    started = await client.start_track_recording(track_body())
    with pytest.raises(Refused) as raised:
        await client.control_recording(started.recording_id, "stop")
    assert raised.value.http_status == 400


@pytest.mark.parametrize(("status", "error"), [(400, Refused), (404, NotFound), (409, Conflict)])
async def test_an_ended_recording_cannot_be_stopped(
    sandbox: Sandbox, client: RealtimeKitClient, status: Any, error: type[ApiError]
) -> None:
    sandbox.behaviour.ended_status = status
    ended = await recorded_track(sandbox, client)
    with pytest.raises(error) as raised:
        await client.control_recording(ended.recording_id, "stop")
    assert raised.value.http_status == status


@pytest.mark.parametrize("status", [400, 422])
async def test_the_refusal_of_a_body_names_the_field(
    sandbox: Sandbox, client: RealtimeKitClient, status: Any
) -> None:
    sandbox.behaviour.validation_status = status
    with pytest.raises(Refused) as raised:
        await client.start_track_recording(track_body(user_ids=[]))
    assert (raised.value.code, raised.value.http_status) == ("invalid_field", status)
    assert raised.value.field is not None
    assert raised.value.field.startswith("user_ids")


async def test_no_track_recording_starts_without_a_live_session(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    sandbox.meetings.create(MEETING, participants=2, live=False)
    with pytest.raises(Refused):
        await client.start_track_recording(track_body())
    assert starts(sandbox) == 0


async def test_an_unknown_recording_is_not_found(client: RealtimeKitClient) -> None:
    with pytest.raises(NotFound):
        await client.get_recording(UNKNOWN_ID)


async def test_the_list_is_read_page_by_page_to_its_end(client: RealtimeKitClient) -> None:
    started = [(await client.start_track_recording(track_body())).recording_id for _ in range(5)]
    pages = [
        await client.list_recordings(page_no=number, per_page=2, sort_order="ASC")
        for number in (1, 2, 3)
    ]
    assert [item.recording_id for page in pages for item in page.recordings] == started
    assert [(page.total_count, page.end_offset, page.is_last) for page in pages] == [
        (5, 2, False),
        (5, 4, False),
        (5, 5, True),
    ]
    assert {item.kind for page in pages for item in page.recordings} == {"track"}


async def test_the_list_is_filtered_by_meeting_and_status(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    ended = await recorded_track(sandbox, client)
    live = await client.start_composite_recording({"meeting_id": MEETING})
    await client.start_track_recording(track_body(OTHER_MEETING))
    everything = await client.list_recordings(meeting_id=MEETING)
    by_status = await client.list_recordings(
        meeting_id=MEETING, statuses=(Status.INVOKED, Status.RECORDING)
    )
    assert {item.recording_id for item in everything.recordings} == {
        ended.recording_id,
        live.recording_id,
    }
    assert [item.recording_id for item in by_status.recordings] == [live.recording_id]


async def test_everybody_in_a_large_session_is_listed(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    sandbox.meetings.create(MEETING, participants=230)
    started = await client.start_track_recording(track_body())
    people = await client.list_participants(started.session_id or "")
    assert len({person.peer_id for person in people}) == 230
    assert {person.custom_participant_id for person in people} == {
        f"participant-{number}" for number in range(1, 231)
    }


async def test_webhooks_are_registered_changed_and_removed(client: RealtimeKitClient) -> None:
    url = "http://127.0.0.1:9/webhooks/realtimekit"
    added = await client.create_webhook(name="worker", url=url, events=EVENTS)
    assert (added.url, added.events, added.enabled) == (url, EVENTS, True)
    replaced = await client.replace_webhook(
        added.webhook_id, name="other", url=url, events=EVENTS[:1]
    )
    assert (replaced.name, replaced.events) == ("other", EVENTS[:1])
    assert await client.list_webhooks() == (replaced,)
    await client.delete_webhook(added.webhook_id)
    assert await client.list_webhooks() == ()


@pytest.mark.parametrize("kind", ["lost_reset", "lost_half", "lost_502", "lost_hang", "lost_odd"])
async def test_a_start_whose_response_was_lost_is_sent_once_and_has_an_unknown_outcome(
    sandbox: Sandbox, kind: Any
) -> None:
    sandbox.faults.add(Fault(kind=kind, operation="start_track_recording", count=1))
    client = client_of(sandbox, timeout=1.0)
    with pytest.raises(OutcomeUnknown):
        await client.start_track_recording(track_body())
    await client.aclose()
    assert starts(sandbox) == 1


async def test_a_start_that_was_reset_before_it_was_read_has_an_unknown_outcome_too(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    sandbox.faults.add(Fault(kind="reset", operation="start_*", count=1))
    with pytest.raises(OutcomeUnknown):
        await client.start_track_recording(track_body())
    assert (starts(sandbox), len(sandbox.request_log.requests)) == (0, 1)


@pytest.mark.parametrize("kind", ["lost_reset", "lost_half", "lost_502", "lost_odd", "reset"])
async def test_a_read_whose_response_was_lost_is_repeated(
    sandbox: Sandbox, client: RealtimeKitClient, kind: Any
) -> None:
    started = await client.start_track_recording(track_body())
    sandbox.faults.add(Fault(kind=kind, operation="get_recording", count=2))
    assert (await client.get_recording(started.recording_id)).recording_id == started.recording_id


@pytest.mark.parametrize("envelope", ["realtimekit", "cloudflare", "message", "html", "empty"])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (409, Conflict),
        (422, Refused),
        (429, Throttled),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
    ],
)
async def test_every_refusal_of_a_start_is_recognised_in_every_envelope(
    sandbox: Sandbox, client: RealtimeKitClient, envelope: Any, status: int, error: type[ApiError]
) -> None:
    sandbox.faults.add(Fault(kind="refuse", status=status, envelope=envelope))
    if (envelope == "realtimekit" and status in {403, 429}) or (envelope, status) == ("html", 403):
        error = RefusedForNow
    if (envelope, status) == ("message", 404):  # JSON, but not the API's form of an error
        error = RefusedForNow
    if envelope in {"html", "empty"} and status in {404, 409}:  # not the API's own answer
        error = Unavailable
    with pytest.raises(ApiError) as raised:
        await client.start_track_recording(track_body())
    assert (type(raised.value), raised.value.http_status) == (error, status)
    assert raised.value.message
    assert starts(sandbox) == 0


async def test_a_read_survives_two_unavailable_responses(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    sandbox.faults.add(Fault(kind="refuse", status=503, envelope="html", count=2))
    assert (await client.list_recordings()).recordings == ()
    sandbox.faults.add(Fault(kind="refuse", status=503))
    with pytest.raises(Unavailable):
        await client.list_recordings()


@pytest.mark.parametrize("as_date", [True, False])
async def test_a_long_retry_after_is_raised_in_seconds(
    sandbox: Sandbox, client: RealtimeKitClient, as_date: bool
) -> None:
    fault = Fault(
        kind="refuse",
        status=429,
        envelope="cloudflare",
        retry_after=300,
        retry_after_date=as_date,
    )
    sandbox.faults.add(fault)
    with pytest.raises(Throttled) as raised:
        await client.list_recordings()
    assert raised.value.retry_after is not None
    assert 290 < raised.value.retry_after <= 300
    assert len(sandbox.request_log.requests) == 1


async def test_a_body_that_the_api_repeats_in_its_error_is_redacted(
    sandbox: Sandbox, client: RealtimeKitClient
) -> None:
    sandbox.faults.add(Fault(kind="echo_body"))
    storage = {"type": "aws", "bucket": "calls", "secret": 'wJal"r\\XUtnFEMI/K7é', "path": "p"}
    with pytest.raises(Refused) as raised:
        await client.start_composite_recording({"meeting_id": MEETING, "storage_config": storage})
    assert "wJal" not in raised.value.message
    assert "[secure]" in raised.value.message
    assert "calls" in raised.value.message


@pytest.mark.parametrize(
    "fields",
    [("started_time", "stopped_time", "session_id", "output_file_name"), ("meeting_id", "type")],
)
async def test_fields_that_the_api_omits_are_none(
    sandbox: Sandbox, client: RealtimeKitClient, fields: tuple[str, ...]
) -> None:
    started = await client.start_track_recording(track_body())
    sandbox.clock.advance(5)
    sandbox.faults.add(Fault(kind="omit", operation="get_recording", fields=fields))
    found = await client.get_recording(started.recording_id)
    assert found.status is Status.RECORDING
    assert all(getattr(found, field, None) is None for field in fields)


async def test_an_unknown_token_is_unauthorized_and_the_next_token_is_used_at_once() -> None:
    options = SandboxOptions(tokens=("good",))
    options.behaviour.strict = True
    word = "bad"
    async with Sandbox(options, clock=Clock(speed=0)) as sandbox:
        client = client_of(sandbox, token=lambda: word)
        with pytest.raises(Unauthorized):
            await client.list_recordings()
        word = "good"
        assert (await client.list_recordings()).recordings == ()
        await client.aclose()
