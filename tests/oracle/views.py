"""What answers and webhooks show of the truth, in the API's words, as it was at some time."""

import itertools
from datetime import UTC, datetime
from typing import Any, Final

from tests.oracle.behaviour import Behaviour
from tests.oracle.recorded_files import output_name
from tests.oracle.truth import Meeting, Person, RecordedFile, Recording, Stay

Json = dict[str, Any]

FILE_LIFE_SECONDS: Final = 7 * 86_400
_SIGNATURES: Final = itertools.count(1)


def instant(at: float | None) -> str | None:
    """RFC 3339 with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def recording_json(recording: Recording, at: float, behaviour: Behaviour) -> Json:
    """The recording as it was at that time; as it began, if that was later."""
    at = max(at, recording.began)
    stopped = _passed(recording.first("UPLOADING", "UPLOADED"), at)
    started = _passed(recording.first("RECORDING"), at)
    files = [file for file in recording.files if file.shown_from <= at]
    return {
        "id": recording.id,
        "meeting_id": recording.meeting.id,
        "status": recording.status_at(at),
        "type": recording.kind.upper(),
        "output_file_name": output_name(recording),
        "invoked_time": instant(recording.began),
        "started_time": instant(started),
        "stopped_time": instant(stopped),
        "session_id": recording.meeting.session_id,
        "file_size": 0 if recording.kind == "track" else 2_044_680,
        "recording_duration": round(stopped - started) if started and stopped else None,
        "start_reason": {"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}},
        "stop_reason": {"reason": recording.stop_reason} if stopped else None,
        "download_url_expiry": instant(stopped + FILE_LIFE_SECONDS) if stopped else None,
        **_urls(recording, files, at, behaviour),
    }


def started_json(recording: Recording, at: float, behaviour: Behaviour) -> Json:
    """The answer to a start; the guide shows one with a few members only."""
    whole = recording_json(recording, at, behaviour)
    if not behaviour.bare_answer:
        return whole
    names = ("id", "meeting_id", "status", "type", "output_file_name")
    return {name: whole[name] for name in names}


def row_json(recording: Recording, at: float, behaviour: Behaviour) -> Json:
    """One of a list: the meeting is an object there, and the type was seen empty."""
    row = recording_json(recording, at, behaviour)
    meeting = row.pop("meeting_id")
    if behaviour.list_has_meeting:
        row["meeting"] = {"id": meeting}
    if not behaviour.list_has_type:
        row["type"] = ""
    return row


def session_json(meeting: Meeting) -> Json:
    """A session."""
    people = sum(any(stay.left is None for stay in person.stays) for person in meeting.people)
    return {
        "id": meeting.session_id,
        "associated_id": meeting.id,
        "meeting_display_name": "A meeting",
        "type": "meeting",
        "status": "LIVE" if meeting.ended is None else "ENDED",
        "live_participants": people,
        "max_concurrent_participants": people,
        "minutes_consumed": 1,
        "organization_id": meeting.app,
        "started_at": instant(meeting.began),
        "created_at": instant(meeting.began),
        "updated_at": instant(meeting.began),
        "ended_at": instant(meeting.ended),
    }


def stay_json(person: Person, stay: Stay, at: float) -> Json:
    """A participant of a session: the `id` is the peer."""
    return {
        "id": stay.peer_id,
        "user_id": person.user_id,
        "custom_participant_id": person.custom_id,
        "display_name": person.name,
        "preset_name": "group_call_host",
        "duration": 0.2,
        "joined_at": instant(stay.joined),
        "left_at": instant(_passed(stay.left, at)),
        "created_at": instant(stay.joined),
        "updated_at": instant(stay.joined),
    }


def person_json(person: Person) -> Json:
    """A participant of a meeting: the `id` is the person."""
    return {
        "id": person.user_id,
        "custom_participant_id": person.custom_id,
        "name": person.name,
        "preset_name": "group_call_host",
        "created_at": instant(person.created),
        "updated_at": instant(person.created),
    }


def _passed(moment: float | None, at: float) -> float | None:
    return moment if moment is not None and moment <= at else None


def _urls(recording: Recording, files: list[RecordedFile], at: float, behaviour: Behaviour) -> Json:
    links = {file.name: _link(recording, file, at, behaviour) for file in files}
    if recording.kind == "composite":
        by_media = {file.media: links[file.name]["download_url"] for file in files}
        return {
            "download_url": by_media.get("video"),
            "audio_download_url": by_media.get("audio"),
        }
    if not links:
        shapes: Json = {"null": None, "list": [], "links": {"links": []}}
        return {"download_url": shapes[behaviour.no_files], "audio_download_url": None}
    layers = [{"layer_name": "default", "download_urls": links}]
    shown = layers if behaviour.track_files == "list" else {"links": layers}
    return {"download_url": shown, "audio_download_url": None}


def _link(recording: Recording, file: RecordedFile, at: float, behaviour: Behaviour) -> Json:
    signature = next(_SIGNATURES) if behaviour.signs_each_time else 1
    place = file.name or f"{recording.id}.mp3"
    url = f"https://files.example/{recording.id}/{place}?signature={signature}"
    link: Json = {"download_url": url if file.url_from <= at else None}
    if behaviour.track_files == "links" and file.peer_id is not None:
        link |= {"peer_id": file.peer_id, "custom_participant_id": file.custom_id}
    return link
