"""The data of webhook bodies, in the current format and in the older one."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from recording_schemas import Status
from worker.domain.snapshot import FoundFile, RecordingSnapshot
from worker.realtimekit.decoding.fields import Unreadable
from worker.realtimekit.decoding.webhooks import WebhookEvent, decode_webhook_event

ID = "97cb480d-0a4b-4a5e-9a7e-0d7c2f1f3b11"
DOCUMENTED: dict[str, Any] = {
    "event": "recording.statusUpdate",
    "recording": {
        "id": ID,
        "recordingId": ID,
        "status": "UPLOADED",
        "downloadUrl": "https://example.com/recording.mp4",
        "audioDownloadUrl": "https://example.com/recording.mp3",
        "downloadUrlExpiry": "2026-06-10T10:30:00.000Z",
        "startedTime": "2026-06-03T10:00:00.000Z",
        "stoppedTime": "2026-06-03T10:30:00.000Z",
        "fileSize": "2044680",
        "outputFileName": "weekly-sync.mp4",
        "meetingId": "50c8940e-0000-4000-8000-000000000000",
        "recordingDuration": 1800,
        "organizationId": "c94c437b-0000-4000-8000-000000000000",
        "roomUUID": "05e57591-0000-4000-8000-000000000000",
    },
    "meeting": {"id": "50c8940e-0000-4000-8000-000000000000", "status": "LIVE", "endedAt": None},
}
FORMER: dict[str, Any] = {
    "event": "recording.statusUpdate",
    "recording": {
        "recordingId": ID,
        "status": "ERRORED",
        "startedTime": "2023-04-14 04:46:08.306221Z",
        "stopReason": "{'reason':'ALL_PEERS_LEFT','caller':{'type':'INTERNAL'}}",
        "fileSize": 2044680,
        "errMessage": "no disk",
    },
    "meeting": {"id": "a-meeting", "sessionId": "a-session"},
}


def read(body: object) -> WebhookEvent:
    return decode_webhook_event(msgspec.json.encode(body))


def test_the_documented_field_names_are_read() -> None:
    assert read(DOCUMENTED).recording == RecordingSnapshot(
        recording_id=ID,
        status=Status.UPLOADED,
        meeting_id="50c8940e-0000-4000-8000-000000000000",
        session_id="05e57591-0000-4000-8000-000000000000",
        started_time=datetime(2026, 6, 3, 10, tzinfo=UTC),
        stopped_time=datetime(2026, 6, 3, 10, 30, tzinfo=UTC),
        recording_duration=1800,
        output_file_name="weekly-sync.mp4",
        download_url_expiry=datetime(2026, 6, 10, 10, 30, tzinfo=UTC),
        files=(
            FoundFile(
                name="weekly-sync.mp4",
                media="video",
                download_url="https://example.com/recording.mp4",
            ),
            FoundFile(
                name="recording.mp3",
                media="audio",
                download_url="https://example.com/recording.mp3",
            ),
        ),
    )


@pytest.mark.parametrize("links", [False, True], ids=["layers", "links"])
def test_the_urls_of_tracks_show_the_kind_and_name_their_files(links: bool) -> None:
    layers = [{"layer_name": "default", "download_urls": {"a.webm": {"download_url": "https://a"}}}]
    urls = {"links": layers} if links else layers
    fields = DOCUMENTED["recording"] | {"downloadUrl": urls, "audioDownloadUrl": None}
    recording = read(DOCUMENTED | {"recording": fields}).recording
    assert recording is not None
    assert recording.kind == "track"
    assert [file.name for file in recording.files] == ["a.webm"]


def test_the_former_field_names_are_read_with_spaces_in_times_and_reasons_in_text() -> None:
    assert read(FORMER).recording == RecordingSnapshot(
        recording_id=ID,
        status=Status.ERRORED,
        meeting_id="a-meeting",
        session_id="a-session",
        started_time=datetime(2023, 4, 14, 4, 46, 8, 306221, tzinfo=UTC),
        stop_reason="ALL_PEERS_LEFT",
        error_message="no disk",
    )


def test_event_id_and_status_are_enough() -> None:
    body = {"event": "recording.statusUpdate", "recording": {"id": ID, "status": "RECORDING"}}
    assert read(body).recording == RecordingSnapshot(recording_id=ID, status=Status.RECORDING)


@pytest.mark.parametrize("field", sorted(DOCUMENTED["recording"].keys() - {"id", "status"}))
@pytest.mark.parametrize("value", [None, 7, -1.5, True, "", "?", [], [[1]], {}, {"id": {}}])
def test_a_field_of_any_form_does_not_hide_the_status(field: str, value: object) -> None:
    body = DOCUMENTED | {"recording": DOCUMENTED["recording"] | {field: value}}
    recording = read(body).recording
    assert recording is not None
    assert (recording.recording_id, recording.status) == (ID, Status.UPLOADED)


@pytest.mark.parametrize("meeting", [None, 7, "live", [], {"id": 5}])
def test_a_meeting_of_any_form_does_not_hide_the_status(meeting: object) -> None:
    recording = read(FORMER | {"meeting": meeting}).recording
    assert recording is not None
    assert recording.meeting_id is None


@pytest.mark.parametrize(
    "recording",
    [
        None,
        [],
        "x",
        {},
        {"status": "UPLOADED"},
        {"id": 5, "status": "UPLOADED"},
        {"id": "a\x00b", "status": "UPLOADED"},
        {"id": "../other", "status": "UPLOADED"},
        {"id": "x" * 129, "status": "UPLOADED"},
    ],
)
def test_a_status_update_without_an_id_is_unreadable(recording: object) -> None:
    with pytest.raises(Unreadable):
        read({"event": "recording.statusUpdate", "recording": recording})


@pytest.mark.parametrize(
    ("status", "unknown"),
    [
        ({}, "(absent)"),
        ({"status": None}, "null"),
        ({"status": "DONE"}, "DONE"),
        ({"status": ["UPLOADED"]}, "a JSON array"),
    ],
)
def test_a_status_update_with_an_unknown_status_shows_that_the_recording_exists(
    status: dict[str, object], unknown: str
) -> None:
    update = {"event": "recording.statusUpdate", "recording": {"id": ID} | status}
    recording = read(update).recording
    assert recording is not None
    assert (recording.status, recording.unknown_status) == ("INVOKED", unknown)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"null", b"{", b'{"event":5}', b"\xff", b"[" * 100_000]
)
def test_a_body_without_an_event_name_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_webhook_event(body)


@pytest.mark.parametrize("event", ["meeting.ended", "livestreaming.statusUpdate", "of tomorrow"])
def test_an_event_of_another_kind_has_only_its_name(event: str) -> None:
    assert read(DOCUMENTED | {"event": event}) == WebhookEvent(event=event)
