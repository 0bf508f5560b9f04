"""From the bodies of webhooks to values.

Two generations of the wording are about. Only the event's name, the recording's id and its status
can be relied on; whatever else there is, is read by what it turns out to be.
"""

import re
from typing import Any, Final

import msgspec

from recording_schemas import Status
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.decoding.fields import Unreadable, decoded, reason, text, time, whole

STATUS_UPDATE: Final = "recording.statusUpdate"
"""The event that tells of a recording's status."""

_LONGEST_ERROR = 500
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class WebhookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook tells. `recording` is None for every event but `STATUS_UPDATE`.

    The recording's `files` are always empty and its `kind` None: a webhook does not tell them, or
    not all of them.
    """

    event: str
    recording: RecordingSnapshot | None = None


class _Recording(msgspec.Struct, rename="camel"):
    id: Any = None
    recording_id: Any = None
    status: Any = None
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


class _Body(msgspec.Struct):
    event: Any = None
    recording: Any = None
    meeting: Any = None


_BODY = msgspec.json.Decoder(_Body)


def read_webhook_event(body: bytes | bytearray) -> WebhookEvent:
    """What a webhook's body tells.

    Raises `Unreadable` when it is no JSON object, names no event, or is a status update without an
    id and a known status.
    """
    told = decoded(body, _BODY)
    event = text(told.event)
    if event is None:
        raise Unreadable("the webhook names no event")
    if event != STATUS_UPDATE:
        return WebhookEvent(event=event)
    return WebhookEvent(event=event, recording=_snapshot(_recording(told.recording), told.meeting))


def _recording(given: object) -> _Recording:
    try:
        return msgspec.convert(given, _Recording)
    except msgspec.ValidationError:
        raise Unreadable("the webhook holds no recording") from None


def _snapshot(told: _Recording, meeting: object) -> RecordingSnapshot:
    recording_id = text(told.id) or text(told.recording_id) or ""
    status = Status.__members__.get(told.status) if isinstance(told.status, str) else None
    if not _ID.fullmatch(recording_id) or status is None:
        raise Unreadable("the webhook holds no recording with an id and a known status")
    about = meeting if isinstance(meeting, dict) else {}
    words = text(told.err_message)
    return RecordingSnapshot(
        recording_id=recording_id,
        status=status,
        meeting_id=text(told.meeting_id) or text(about.get("id")),
        session_id=text(told.room_uuid) or text(about.get("sessionId")),
        invoked_time=time(told.invoked_time),
        started_time=time(told.started_time),
        stopped_time=time(told.stopped_time),
        recording_duration=whole(told.recording_duration),
        output_file_name=text(told.output_file_name),
        start_reason=reason(told.start_reason),
        stop_reason=reason(told.stop_reason),
        error_message=words[:_LONGEST_ERROR] if words else None,
    )
