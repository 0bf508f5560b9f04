"""What the vendor's published schema says of the answers, as data: members, types, operations.

Written down by hand from the public API description as of August 2026, for checking answers
against. `Member(...)` is one member of an object; what an object may have beyond its members is
not restricted, as in the original.
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


class Member(NamedTuple):
    """One member. `kind` names a check of `faults_of`, an object of `OBJECTS`, or `[object]`."""

    kind: str
    required: bool = False
    nullable: bool = False
    words: frozenset[str] = frozenset()


def _enum(*words: str, required: bool = False) -> Member:
    return Member("enum", required=required, words=frozenset(words))


_REQUIRED_TEXT = Member("text", required=True)
_REQUIRED_NUMBER = Member("number", required=True)
_TIME = Member("time", required=True)
_TIME_OR_NULL = Member("time", required=True, nullable=True)
_CALLER_TYPES = ("ORGANIZATION", "USER")

RECORDING = {
    "id": Member("uuid", required=True),
    "status": _enum(*STATUSES, required=True),
    "output_file_name": _REQUIRED_TEXT,
    "invoked_time": _TIME,
    "session_id": Member("uuid", required=True, nullable=True),
    "started_time": _TIME_OR_NULL,
    "stopped_time": _TIME_OR_NULL,
    "download_url": Member("uri", required=True, nullable=True),
    "download_url_expiry": _TIME_OR_NULL,
    "audio_download_url": Member("uri", required=True, nullable=True),
    "file_size": Member("number", required=True, nullable=True),
    "recording_duration": Member("integer"),
}
RECORDING_WITH_REASONS = {
    **RECORDING,
    "start_reason": Member("start_reason"),
    "stop_reason": Member("stop_reason"),
    "storage_config": Member("storage", nullable=True),
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
    "ended_at": Member("text"),
}
OBJECTS: dict[str, dict[str, Member]] = {
    "recording": RECORDING,
    "recording_with_reasons": RECORDING_WITH_REASONS,
    "listed_recording": {
        **RECORDING,
        "storage_config": Member("storage", nullable=True),
        "meeting": Member("meeting"),
    },
    "start_reason": {
        "reason": _enum("API_CALL", "RECORD_ON_START"),
        "caller": Member("caller"),
    },
    "stop_reason": {
        "reason": _enum("API_CALL", "INTERNAL_ERROR", "ALL_PEERS_LEFT"),
        "caller": Member("caller"),
    },
    "caller": {"type": _enum(*_CALLER_TYPES), "name": Member("text"), "user_Id": Member("uuid")},
    "storage": {
        "type": _enum("aws", "azure", "digitalocean", "gcs", "sftp", required=True),
        "bucket": Member("text"),
        "region": Member("text"),
        "path": Member("text"),
        "host": Member("text"),
        "port": Member("number"),
    },
    "meeting": {
        "id": Member("uuid", required=True),
        "created_at": _TIME,
        "updated_at": _TIME,
        "title": Member("text"),
        "status": _enum("ACTIVE", "INACTIVE"),
    },
    "session": SESSION,
    "participant": {
        "id": Member("text"),
        "user_id": Member("text"),
        "custom_participant_id": Member("text"),
        "display_name": Member("text"),
        "preset_name": Member("text"),
        "duration": Member("number"),
        "joined_at": Member("text"),
        "left_at": Member("text"),
        "created_at": Member("text"),
        "updated_at": Member("text"),
        "peer_events": Member("[peer_event]"),
    },
    "peer_event": {
        "id": Member("text"),
        "event_name": _enum("PEER_CREATED", "PEER_JOINING", "PEER_LEAVING"),
        "created_at": Member("text"),
        "updated_at": Member("text"),
        "peer_id": Member("text"),
        "participant_id": Member("text", nullable=True),
        "session_id": Member("text"),
        "preset_view_type": _enum("GROUP_CALL", "WEBINAR", "AUDIO_ROOM", "LIVESTREAM", "CHAT"),
    },
    "webhook": {
        "id": Member("uuid", required=True),
        "name": _REQUIRED_TEXT,
        "url": Member("uri", required=True),
        "events": Member("[event]", required=True),
        "created_at": _TIME,
        "updated_at": _TIME,
        "enabled": Member("flag", required=True),
    },
    "paging": {
        "total_count": _REQUIRED_NUMBER,
        "start_offset": _REQUIRED_NUMBER,
        "end_offset": _REQUIRED_NUMBER,
    },
    "error": {"code": _REQUIRED_NUMBER, "message": _REQUIRED_TEXT},
    # Answers.
    "refused": {"success": Member("no", required=True), "error": Member("error", required=True)},
    "one_recording": {
        "success": Member("yes", required=True),
        "data": Member("recording_with_reasons", required=True),
    },
    "started_track": {
        "success": Member("yes", required=True),
        "data": Member("nested_recording", required=True),
    },
    "nested_recording": {"recording": Member("recording", required=True)},
    "recordings": {
        "success": Member("yes", required=True),
        "data": Member("[listed_recording]", required=True),
        "paging": Member("paging", required=True),
    },
    "active_recording": {
        "success": Member("yes", required=True),
        "data": Member("recording", required=True),
    },
    "sessions": {
        "success": Member("yes"),
        "data": Member("sessions_data", required=True),
        "paging": Member("paging", required=True),
    },
    "sessions_data": {"sessions": Member("[session]", required=True)},
    "one_session": {"success": Member("yes"), "data": Member("session", required=True)},
    "participants": {"success": Member("yes"), "data": Member("participants_data", required=True)},
    "participants_data": {
        "participants": Member("[participant]", required=True),
        "paging": Member("paging"),
    },
    "one_participant": {"success": Member("yes"), "data": Member("participant_data")},
    "participant_data": {"participant": Member("participant", required=True)},
    "one_webhook": {
        "success": Member("yes", required=True),
        "data": Member("webhook", required=True),
    },
    "webhooks": {
        "success": Member("yes", required=True),
        "data": Member("[webhook]", required=True),
    },
    "webhook_events": {
        "success": Member("yes", required=True),
        "data": Member("[event]", required=True),
    },
}


def faults_of(value: object, kind: str, *, path: str = "$") -> list[str]:
    """Every way in which the value is not what the schema calls `kind`; empty when it is."""
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


def _object_faults(value: object, members: dict[str, Member], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: not an object"]
    faults = []
    for name, member in members.items():
        where = f"{path}.{name}"
        if name not in value:
            faults += [f"{where}: missing"] if member.required else []
        elif value[name] is None:
            faults += [] if member.nullable else [f"{where}: null"]
        elif member.kind == "enum":
            faults += [] if value[name] in member.words else [f"{where}: {value[name]!r}"]
        else:
            faults += faults_of(value[name], member.kind, path=where)
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
