"""Decodes the bodies of webhooks.

The API sends two generations of field names. Only the name of the event and the recording's id are
required; any other field is read if it has a usable form.
"""

from typing import Any, Final

import msgspec

from recording_schemas import Kind
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.decoding.fields import (
    Unreadable,
    aware_time,
    decode,
    non_negative_int,
    reason,
    recording_id_of,
    text,
)
from worker.realtimekit.decoding.recordings import RecordingFields, files_of
from worker.realtimekit.decoding.statuses import read_status
from worker.realtimekit.urls import API_ID

RECORDING_STATUS_UPDATE: Final = "recording.statusUpdate"
"""The name of the event that reports a recording's status."""

MEETING_STARTED: Final = "meeting.started"
"""The name of the event that reports that a meeting's session began."""


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook. `recording` is None for every event but `RECORDING_STATUS_UPDATE`.

    `meeting_id` is given for `MEETING_STARTED` alone, if the webhook has it. The recording's `kind`
    is None, except if the form of its URLs shows that it has tracks. Its `files` may not be all.
    """

    event: str
    recording: RecordingSnapshot | None = None
    meeting_id: str | None = None


class _Recording(msgspec.Struct, rename="camel"):
    id: Any = None
    recording_id: Any = None
    status: Any = msgspec.UNSET
    meeting_id: Any = None
    room_uuid: Any = msgspec.field(default=None, name="roomUUID")
    invoked_time: Any = None
    started_time: Any = None
    stopped_time: Any = None
    recording_duration: Any = None
    output_file_name: Any = None
    start_reason: Any = None
    stop_reason: Any = None
    err_message: Any = None
    download_url: Any = None
    download_url_expiry: Any = None
    audio_download_url: Any = None


class _Body(msgspec.Struct):
    event: Any = None
    recording: Any = None
    meeting: Any = None


_BODY = msgspec.json.Decoder(_Body)


def decode_webhook_event(body: bytes | bytearray) -> WebhookEvent:
    """The webhook in `body`.

    Raises `Unreadable` when the body is no JSON object, has no event name, or is a status update
    without an id.
    """
    webhook = decode(body, _BODY)
    event = text(webhook.event)
    if event is None:
        raise Unreadable("the webhook has no event name")
    if event == MEETING_STARTED:
        return WebhookEvent(event=event, meeting_id=_meeting_id(webhook.meeting))
    if event != RECORDING_STATUS_UPDATE:
        return WebhookEvent(event=event)
    return WebhookEvent(
        event=event, recording=_snapshot(_recording(webhook.recording), webhook.meeting)
    )


def _meeting_id(meeting: object) -> str | None:
    """The id of the meeting, under either of the names that it has had."""
    fields = meeting if isinstance(meeting, dict) else {}
    return text(fields.get("id")) or text(fields.get("roomName"))


def _recording(value: object) -> _Recording:
    try:
        return msgspec.convert(value, _Recording)
    except msgspec.ValidationError:
        raise Unreadable("the webhook has no recording") from None


def _snapshot(recording: _Recording, meeting: object) -> RecordingSnapshot:
    recording_id = recording_id_of(recording.id) or recording_id_of(recording.recording_id) or ""
    if not API_ID.fullmatch(recording_id):
        raise Unreadable("the webhook has no recording with an id")
    read = read_status(recording.status)
    meeting_fields = meeting if isinstance(meeting, dict) else {}
    message = text(recording.err_message)
    fields = RecordingFields(
        output_file_name=recording.output_file_name,
        download_url=recording.download_url,
        audio_download_url=recording.audio_download_url,
    )
    kind: Kind | None = "track" if isinstance(recording.download_url, dict | list) else None
    return RecordingSnapshot(
        recording_id=recording_id,
        status=read.status,
        unknown_status=read.unknown,
        meeting_id=text(recording.meeting_id) or text(meeting_fields.get("id")),
        session_id=text(recording.room_uuid) or text(meeting_fields.get("sessionId")),
        invoked_time=aware_time(recording.invoked_time),
        started_time=aware_time(recording.started_time),
        stopped_time=aware_time(recording.stopped_time),
        recording_duration=non_negative_int(recording.recording_duration),
        output_file_name=text(recording.output_file_name),
        start_reason=reason(recording.start_reason),
        stop_reason=reason(recording.stop_reason),
        error_message=message,
        kind=kind,
        download_url_expiry=aware_time(recording.download_url_expiry),
        files=files_of(fields, read.status, None, kind),
    )
