"""How the API words what the sandbox knows: one function per object of its schema."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock, iso
from sandbox.model.files import Presigner
from sandbox.model.meeting import Meeting, Participant, Presence, Session
from sandbox.model.recording import Recording

_ORGANIZATION = "Sandbox"
_NAMESPACE = UUID("2ab9d5a4-6c1f-44e3-9d0f-0d6ce1f1b7aa")


class Responses:
    """Turns values of the world into JSON objects."""

    def __init__(self, clock: Clock, behaviour: Behaviour, presigner: Presigner) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._presigner = presigner

    def recording(self, recording: Recording, *, listed: bool = False) -> dict[str, object]:
        """The Recording object. Lists leave the type empty and do not tell the reasons."""
        is_track = recording.request.kind == "track"
        body: dict[str, object] = {
            "id": recording.id,
            "meeting_id": recording.request.meeting_id,
            "session_id": recording.session.id if recording.session else None,
            "status": recording.status,
            "output_file_name": recording.output_file_name,
            "invoked_time": iso(recording.invoked_at),
            "started_time": _time(recording.started_at),
            "stopped_time": _time(recording.stopped_at),
            "file_size": self._file_size(recording),
            **self._downloads(recording, listed=listed),
        }
        if is_track or listed:
            body["type"] = "" if listed else "TRACK"
        if recording.stopped_at is not None:
            body["recording_duration"] = int(recording.recorded_seconds(recording.stopped_at))
        if recording.error:
            body["err_message"] = recording.error
        if recording.request.storage:
            body["storage_config"] = recording.request.storage
        if not listed:
            body |= self._reasons(recording)
        return body

    def downloads_expire_at(self, recording: Recording) -> float | None:
        """When the URLs of an uploaded recording stop working; None when there are none."""
        if recording.uploaded_at is None or recording.status != "UPLOADED":
            return None
        return recording.uploaded_at + self._behaviour.retention_seconds

    def _downloads(self, recording: Recording, *, listed: bool) -> dict[str, object]:
        expiry = self.downloads_expire_at(recording)
        there = expiry is not None and self._clock.now() >= recording.files_from
        if recording.request.kind == "track":
            told = expiry is not None and (not listed or self._behaviour.list_track_urls)
            shape = self._behaviour.track_download_url if told else "null"
            url = self._track_urls(recording if there else None, shape, expiry or 0.0)
            return {
                "download_url": url,
                "download_url_expiry": _time(expiry),
                "audio_download_url": None,
            }
        video = recording.files[0] if recording.files else None
        audio = recording.audio_file
        own_bucket = there and recording.request.bucket_enabled
        return {
            "download_url": self._url(recording, video.name, expiry)
            if own_bucket and video
            else None,
            "download_url_expiry": _time(expiry) if recording.request.bucket_enabled else None,
            "audio_download_url": self._url(recording, audio.name, expiry)
            if own_bucket and audio
            else None,
        }

    def _track_urls(self, recording: Recording | None, shape: str, expires: float) -> object:
        """`download_url` in one of the shapes that were seen; None stands for no files."""
        files = recording.files if recording else ()
        urls: dict[str, dict[str, object]] = {}
        for file in files:
            urls[file.name] = {"download_url": self._url(recording, file.name, expires)}
            if shape == "links":
                urls[file.name]["peer_id"] = file.peer_id
                urls[file.name]["custom_participant_id"] = file.custom_participant_id
        layers = [{"layer_name": "default", "download_urls": urls}] if urls else []
        match shape:
            case "layers":
                return layers
            case "links":
                return {"links": layers}
            case "string":
                return next((url["download_url"] for url in urls.values()), None)
            case "empty_list":
                return []
            case "empty_links":
                return {"links": []}
            case _:
                return None

    def _url(self, recording: Recording | None, name: str, expires: float | None) -> str:
        return self._presigner.url(recording.id if recording else "", name, expires or 0.0)

    def _file_size(self, recording: Recording) -> int | None:
        if recording.request.kind == "track":
            return 0
        return recording.file_size if recording.status == "UPLOADED" else None

    def _reasons(self, recording: Recording) -> dict[str, object]:
        caller = {
            "type": "ORGANIZATION",
            "name": _ORGANIZATION,
            "user_Id": str(uuid5(_NAMESPACE, recording.request.app_id)),
        }
        start = {"reason": recording.request.reason, "caller": caller}
        reasons: dict[str, object] = {"start_reason": start}
        if recording.stop_reason:
            stop: dict[str, object] = {"reason": recording.stop_reason}
            reasons["stop_reason"] = {**stop, "caller": caller} if recording.stop_caller else stop
        return reasons


def meeting(meeting: Meeting) -> dict[str, object]:
    """The Meeting object."""
    at = iso(meeting.created_at)
    return {
        "id": meeting.id,
        "title": meeting.title,
        "status": "ACTIVE",
        "created_at": at,
        "updated_at": at,
    }


def session(session: Session, *, now: float) -> dict[str, object]:
    """The ActiveSession object, also of one that has ended."""
    until = now if session.ended_at is None else session.ended_at
    body: dict[str, object] = {
        "id": session.id,
        "associated_id": session.meeting_id,
        "meeting_display_name": session.title,
        "type": "meeting",
        "status": "LIVE" if session.ended_at is None else "ENDED",
        "live_participants": len(session.present),
        "max_concurrent_participants": session.most_present,
        "minutes_consumed": minutes(session, until),
        "organization_id": str(uuid5(_NAMESPACE, "organization")),
        "started_at": iso(session.started_at),
        "created_at": iso(session.started_at),
        "updated_at": iso(until),
    }
    if session.ended_at is not None:
        body["ended_at"] = iso(session.ended_at)
    return body


def minutes(session: Session, until: float) -> float:
    """The time of all presences together, in minutes."""
    stays = [_stay(presence, until) for presence in session.presences]
    return round(sum(stays) / 60, 3)


def presence(
    presence: Presence, session: Session, *, now: float, events: bool
) -> dict[str, object]:
    """A row of a session's participants."""
    person = presence.participant
    body: dict[str, object] = {
        "id": presence.peer_id,
        "user_id": person.id,
        "custom_participant_id": person.custom_participant_id,
        "display_name": person.name,
        "preset_name": person.preset_name,
        "duration": round(_stay(presence, now) / 60, 3),
        "joined_at": iso(presence.joined_at),
        "created_at": iso(presence.joined_at),
        "updated_at": iso(presence.left_at or presence.joined_at),
    }
    if presence.left_at is not None:
        body["left_at"] = iso(presence.left_at)
    if events:
        body["peer_events"] = _peer_events(presence, session)
    return body


def participant(person: Participant) -> dict[str, object]:
    """Somebody who may join a meeting. The token opens nothing."""
    at = iso(person.created_at)
    return {
        "id": person.id,
        "name": person.name,
        "custom_participant_id": person.custom_participant_id,
        "preset_name": person.preset_name,
        "created_at": at,
        "updated_at": at,
    }


def paging(total: int, offset: int, items: Sequence[object]) -> dict[str, int]:
    """Offsets count from 1 and are inclusive; an empty page starts at 0."""
    return {
        "total_count": total,
        "start_offset": offset + 1 if items else 0,
        "end_offset": offset + len(items) if items else total,
    }


def _stay(presence: Presence, now: float) -> float:
    return (presence.left_at or now) - presence.joined_at


def _peer_events(presence: Presence, session: Session) -> list[dict[str, object]]:
    moments: list[tuple[str, float | None]] = [
        ("PEER_CREATED", presence.joined_at),
        ("PEER_JOINING", presence.joined_at),
        ("PEER_LEAVING", presence.left_at),
    ]
    return [
        {
            "id": str(uuid5(_NAMESPACE, f"{presence.peer_id}/{name}")),
            "event_name": name,
            "created_at": iso(at),
            "updated_at": iso(at),
            "peer_id": presence.peer_id,
            "participant_id": presence.participant.id,
            "session_id": session.id,
            "preset_view_type": "GROUP_CALL",
        }
        for name, at in moments
        if at is not None
    ]


def _time(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)
