"""The vendor's published schema of the answers, as data: fields, types, operations.

Written by hand from the public API description as of August 2026, to check answers. `Field(...)` is
one field of an object. Further fields of an object are not restricted, as in the original.
"""

from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

STATUSES = {"INVOKED", "RECORDING", "UPLOADING", "UPLOADED", "ERRORED", "PAUSED"}
WEBHOOK_EVENTS = {
    "meeting.started",
    "meeting.ended",
    "meeting.participantJoined",
    "meeting.participantLeft",
    "meeting.chatSynced",
    "recording.statusUpdate",
    "livestreaming.statusUpdate",
    "meeting.transcript",
    "meeting.summary",
}


class Field(NamedTuple):
    """One field. `kind` names a check of `faults_of`, an object of `OBJECTS`, or `[object]`."""

    kind: str
    required: bool = False
    nullable: bool = False
    words: frozenset[str] = frozenset()


def _enum(*words: str, required: bool = False) -> Field:
    return Field("enum", required=required, words=frozenset(words))


_REQUIRED_TEXT = Field("text", required=True)
_REQUIRED_NUMBER = Field("number", required=True)
_TIME = Field("time", required=True)
_TIME_OR_NULL = Field("time", required=True, nullable=True)
_CALLER_TYPES = ("ORGANIZATION", "USER")

RECORDING = {
    "id": Field("uuid", required=True),
    "status": _enum(*STATUSES, required=True),
    "output_file_name": _REQUIRED_TEXT,
    "invoked_time": _TIME,
    "session_id": Field("uuid", required=True, nullable=True),
    "started_time": _TIME_OR_NULL,
    "stopped_time": _TIME_OR_NULL,
    "download_url": Field("uri", required=True, nullable=True),
    "download_url_expiry": _TIME_OR_NULL,
    "audio_download_url": Field("uri", required=True, nullable=True),
    "file_size": Field("number", required=True, nullable=True),
    "recording_duration": Field("integer"),
}
RECORDING_WITH_REASONS = {
    **RECORDING,
    "start_reason": Field("start_reason"),
    "stop_reason": Field("stop_reason"),
    "storage_config": Field("storage", nullable=True),
}
SESSION = {
    "id": _REQUIRED_TEXT,
    "associated_id": _REQUIRED_TEXT,
    "meeting_display_name": _REQUIRED_TEXT,
    "type": _enum("meeting", "livestream", "participant", required=True),
    "status": _enum("LIVE", "ENDED", required=True),
    "live_participants": _REQUIRED_NUMBER,
    "max_concurrent_participants": _REQUIRED_NUMBER,
    "minutes_consumed": _REQUIRED_NUMBER,
    "organization_id": _REQUIRED_TEXT,
    "started_at": _REQUIRED_TEXT,
    "created_at": _REQUIRED_TEXT,
    "updated_at": _REQUIRED_TEXT,
    "ended_at": Field("text"),
}
OBJECTS: dict[str, dict[str, Field]] = {
    "recording": RECORDING,
    "recording_with_reasons": RECORDING_WITH_REASONS,
    "listed_recording": {
        **RECORDING,
        "storage_config": Field("storage", nullable=True),
        "meeting": Field("meeting"),
    },
    "start_reason": {
        "reason": _enum("API_CALL", "RECORD_ON_START"),
        "caller": Field("caller"),
    },
    "stop_reason": {
        "reason": _enum("API_CALL", "INTERNAL_ERROR", "ALL_PEERS_LEFT"),
        "caller": Field("caller"),
    },
    "caller": {"type": _enum(*_CALLER_TYPES), "name": Field("text"), "user_Id": Field("uuid")},
    "storage": {
        "type": _enum("aws", "azure", "digitalocean", "gcs", "sftp", required=True),
        "bucket": Field("text"),
        "region": Field("text"),
        "path": Field("text"),
        "host": Field("text"),
        "port": Field("number"),
    },
    "meeting": {
        "id": Field("uuid", required=True),
        "created_at": _TIME,
        "updated_at": _TIME,
        "title": Field("text"),
        "status": _enum("ACTIVE", "INACTIVE"),
    },
    "session": SESSION,
    "participant": {
        "id": Field("text"),
        "user_id": Field("text"),
        "custom_participant_id": Field("text"),
        "display_name": Field("text"),
        "preset_name": Field("text"),
        "duration": Field("number"),
        "joined_at": Field("text"),
        "left_at": Field("text"),
        "created_at": Field("text"),
        "updated_at": Field("text"),
        "peer_events": Field("[peer_event]"),
    },
    "peer_event": {
        "id": Field("text"),
        "event_name": _enum("PEER_CREATED", "PEER_JOINING", "PEER_LEAVING"),
        "created_at": Field("text"),
        "updated_at": Field("text"),
        "peer_id": Field("text"),
        "participant_id": Field("text", nullable=True),
        "session_id": Field("text"),
        "preset_view_type": _enum("GROUP_CALL", "WEBINAR", "AUDIO_ROOM", "LIVESTREAM", "CHAT"),
    },
    "webhook": {
        "id": Field("uuid", required=True),
        "name": _REQUIRED_TEXT,
        "url": Field("uri", required=True),
        "events": Field("[event]", required=True),
        "created_at": _TIME,
        "updated_at": _TIME,
        "enabled": Field("flag", required=True),
    },
    "paging": {
        "total_count": _REQUIRED_NUMBER,
        "start_offset": _REQUIRED_NUMBER,
        "end_offset": _REQUIRED_NUMBER,
    },
    "error": {"code": _REQUIRED_NUMBER, "message": _REQUIRED_TEXT},
    # Answers.
    "refused": {"success": Field("no", required=True), "error": Field("error", required=True)},
    "one_recording": {
        "success": Field("yes", required=True),
        "data": Field("recording_with_reasons", required=True),
    },
    "started_track": {
        "success": Field("yes", required=True),
        "data": Field("nested_recording", required=True),
    },
    "nested_recording": {"recording": Field("recording", required=True)},
    "recordings": {
        "success": Field("yes", required=True),
        "data": Field("[listed_recording]", required=True),
        "paging": Field("paging", required=True),
    },
    "active_recording": {
        "success": Field("yes", required=True),
        "data": Field("recording", required=True),
    },
    "sessions": {
        "success": Field("yes"),
        "data": Field("sessions_data", required=True),
        "paging": Field("paging", required=True),
    },
    "sessions_data": {"sessions": Field("[session]", required=True)},
    "one_session": {"success": Field("yes"), "data": Field("session", required=True)},
    "participants": {"success": Field("yes"), "data": Field("participants_data", required=True)},
    "participants_data": {
        "participants": Field("[participant]", required=True),
        "paging": Field("paging"),
    },
    "one_participant": {"success": Field("yes"), "data": Field("participant_data")},
    "participant_data": {"participant": Field("participant", required=True)},
    "one_webhook": {
        "success": Field("yes", required=True),
        "data": Field("webhook", required=True),
    },
    "webhooks": {
        "success": Field("yes", required=True),
        "data": Field("[webhook]", required=True),
    },
    "webhook_events": {
        "success": Field("yes", required=True),
        "data": Field("[event]", required=True),
    },
}


def faults_of(value: object, kind: str, *, path: str = "$") -> list[str]:
    """Every difference between the value and the schema of `kind`; empty if it is valid."""
    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{path}: not an array"]
        inner = kind.strip("[]")
        return [
            fault
            for index, item in enumerate(value)
            for fault in faults_of(item, inner, path=f"{path}[{index}]")
        ]
    if kind in OBJECTS:
        return _object_faults(value, OBJECTS[kind], path)
    return [] if _is(value, kind) else [f"{path}: {value!r} is not {kind}"]


def _object_faults(value: object, fields: dict[str, Field], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    faults = []
    for name, field in fields.items():
        where = f"{path}.{name}"
        if name not in value:
            faults += [f"{where}: missing"] if field.required else []
        elif value[name] is None:
            faults += [] if field.nullable else [f"{where}: null"]
        elif field.kind == "enum":
            faults += [] if value[name] in field.words else [f"{where}: {value[name]!r}"]
        else:
            faults += faults_of(value[name], field.kind, path=where)
    return faults


def _is(value: object, kind: str) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "flag":
            return isinstance(value, bool)
        case "yes" | "no":
            return value is (kind == "yes")
        case "event":
            return value in WEBHOOK_EVENTS
        case _:
            return isinstance(value, str) and _is_written_as(value, kind)


def _is_written_as(text: str, kind: str) -> bool:
    if kind == "uri":
        return bool(urlsplit(text).scheme and urlsplit(text).netloc)
    try:
        UUID(text) if kind == "uuid" else datetime.fromisoformat(text)
    except ValueError:
        return False
    return kind != "time" or text.endswith("Z")
