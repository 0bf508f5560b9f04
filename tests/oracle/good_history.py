"""The evidence of a small history without any fault, which tests then spoil."""

import json
from typing import Any, Final

from tests.oracle.evidence import Evidence, Json, Limits, Received, Sent
from tests.oracle.truth import (
    Change,
    Meeting,
    Person,
    RecordedFile,
    Recording,
    Request,
    Stay,
    Truth,
)

MEETING: Final = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
SESSION: Final = "7d0f2a94-1f6c-4c0e-8f7b-3b9b5e0c6a12"
RECORDING: Final = "b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"
USER: Final = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05"
PEER: Final = "c9e8d7b6-a504-4392-8170-6f5e4d3c2b07"
FILE: Final = f"default_{USER}_{PEER}_peer_audio_1767261605000.webm"
START: Final = {"type": "start_track_recording", "id": "start-1", "meeting_id": MEETING}
STOP: Final = {"type": "stop_recording", "id": "stop-1", "start_id": "start-1"}
STATUSES: Final = ("INVOKED", "RECORDING", "UPLOADING", "UPLOADED")
TIME: Final = "2026-01-01T10:00:00Z"


def good_history() -> Evidence:
    """A start and a stop, one recording, one file, the completion."""
    limits = Limits(budget=((100, 1.0),), max_age=15.0, stop_wait=5.0)
    sent = [sent_message(START, 1.0, correlation_id="k1"), sent_message(STOP, 4.0)]
    return Evidence(_truth(), sent, _messages(), limits=limits)


def sent_message(command: Json, at: float, **more: Any) -> Sent:
    """A right command that was sent then."""
    return Sent(at, command["id"], json.dumps(command).encode(), command, **more)


def outcome(command: Json, at: float, verdict: str = "succeeded", **more: Any) -> Received:
    """The outcome of a command."""
    content = {"command_id": command["id"], "command_type": command["type"], "metadata": None}
    if verdict == "succeeded":
        content["recording_ids"] = [RECORDING]
    event = _event(f"command.{verdict}.v1", command["id"], {**content, **more})
    event["id"] = f"outcome-{command['id']}"
    key = f"{command['type']}.{verdict}"
    correlation = "k1" if command is START else command["id"]
    return message(event, "results", key, at, correlation)


def status_event(place: int, at: float, **more: Any) -> Received:
    """The event of the status with this place in STATUSES."""
    names = ("invoked_time", "started_time", "stopped_time", "recording_duration", "start_reason")
    nothing = dict.fromkeys((*names, "output_file_name", "stop_reason", "error"))
    content = {
        **_common(),
        "session_id": SESSION,
        "status": STATUSES[place],
        "previous_status": STATUSES[place - 1] if place else None,
        "observed_by": "sweep",
        "observed_at": TIME,
        **nothing,
        **more,
    }
    event = _event("recording.status_changed.v1", RECORDING, content)
    event |= {"id": f"status-{place}", "sequence": f"{place + 1:012}"}
    return message(event, "status", f"track.{str(content['status']).lower()}", at, "k1")


def file_event(at: float, **more: Any) -> Received:
    """The event of the file."""
    content = {
        **_common(),
        "session_id": SESSION,
        "layer": "default",
        "file_name": FILE,
        "user_id": USER,
        "peer_id": PEER,
        "custom_participant_id": "alice",
        "stream_kind": "peer",
        "media_kind": "audio",
        "recorded_at": "2026-01-01T10:00:05Z",
        "download_url": f"https://files.example/{RECORDING}/{FILE}",
        "download_url_expiry": TIME,
        "file_index": 1,
        "file_count": 1,
        "storage": None,
        "participant": None,
        **more,
    }
    event = _event("recording.file_ready.v1", RECORDING, content)
    event |= {"id": "file-1", "sequence": f"{5:012}"}
    return message(event, "files", "track.audio.ready", at, "k1")


def completion(at: float, **more: Any) -> Received:
    """The event of the completion."""
    content = {
        **_common(),
        "status": "UPLOADED",
        "file_count": 1,
        "files": [FILE],
        "recording_duration": 3,
        "participants_without_file": [],
        **more,
    }
    event = _event("recording.completed.v1", RECORDING, content)
    event |= {"id": "completed-1", "sequence": f"{6:012}"}
    return message(event, "files", "track.completed", at, "k1")


def message(
    event: Json, exchange: str, key: str, at: float, correlation_id: str | None
) -> Received:
    """A message with this event and the right properties."""
    return Received(
        at,
        f"recording.{exchange}",
        key,
        json.dumps(event).encode(),
        event["id"],
        event["type"],
        correlation_id,
        "application/cloudevents+json",
    )


def _messages() -> list[Received]:
    return [
        status_event(0, 2.1),
        outcome(START, 2.2),
        status_event(1, 3.1),
        outcome(STOP, 5.1),
        status_event(2, 5.2),
        status_event(3, 6.1),
        file_event(6.2),
        completion(6.3),
    ]


def _truth() -> Truth:
    person = Person(USER, "alice", "Alice", [Stay(PEER, 0.5, 6.0)])
    meeting = Meeting(MEETING, "app", SESSION, [person], began=0.0)
    changes = [
        Change(at, status) for at, status in zip((2.0, 3.0, 5.0, 6.0), STATUSES, strict=True)
    ]
    body = {"meeting_id": MEETING}
    recording = Recording(RECORDING, "app", meeting, "track", body, True, changes)
    recording.files = [RecordedFile(FILE, "audio", 6.0, 6.0, USER, PEER, "alice")]
    recording.stop_reason = "API_CALL"
    requests = [
        _request(2.0, "start_track", None, body, (RECORDING, "INVOKED")),
        _request(3.0, "list", None, None, (RECORDING, "RECORDING")),
        _request(5.0, "control", RECORDING, {"action": "stop"}, (RECORDING, "UPLOADING")),
        _request(6.0, "get", RECORDING, None, (RECORDING, "UPLOADED")),
    ]
    for request in requests:
        if request.operation in {"start_track", "control"}:
            request.effect = RECORDING
    return Truth({MEETING: meeting}, {RECORDING: recording}, requests)


def _request(
    at: float, operation: str, target: str | None, body: Any, shown: tuple[str, str]
) -> Request:
    return Request(at, 0, "app", operation, target, body, "", True, "none", 200, at + 0.01, [shown])


def _common() -> Json:
    return {
        "recording_id": RECORDING,
        "meeting_id": MEETING,
        "kind": "track",
        "start_id": "start-1",
        "metadata": None,
    }


def _event(kind: str, subject: str, content: Json) -> Json:
    return {
        "source": "recording-worker",
        "specversion": "1.0",
        "type": kind,
        "subject": subject,
        "time": TIME,
        "datacontenttype": "application/json",
        "dataschema": f"urn:recording-worker:schema:{kind}",
        "data": content,
    }
