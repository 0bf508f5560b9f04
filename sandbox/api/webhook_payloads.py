"""The bodies of webhooks, in the wording of today and in that of the predecessor."""

from datetime import UTC, datetime

from sandbox.model.clock import iso
from sandbox.model.meeting import MeetingEvent, Session
from sandbox.model.recording import Recording


def cloudflare(
    recording: Recording, worded: dict[str, object], *, with_urls: bool
) -> dict[str, object]:
    """The documented wording. `worded` is how the API itself describes the recording."""
    body: dict[str, object] = {
        "id": recording.id,
        "recordingId": recording.id,
        "status": recording.status,
        "downloadUrl": worded["download_url"] if with_urls else None,
        "audioDownloadUrl": worded["audio_download_url"] if with_urls else None,
        "downloadUrlExpiry": worded["download_url_expiry"],
        "startedTime": worded["started_time"],
        "stoppedTime": worded["stopped_time"],
        "outputFileName": recording.output_file_name,
        "meetingId": recording.request.meeting_id,
        "organizationId": recording.request.app_id,
        "roomUUID": worded["session_id"],
    }
    if worded["file_size"] is not None:
        body["fileSize"] = str(worded["file_size"])
    if recording.stopped_at is not None:
        body["recordingDuration"] = worded["recording_duration"]
    if recording.error:
        body["errMessage"] = recording.error
    return {
        "event": "recording.statusUpdate",
        "recording": body,
        "meeting": {
            "id": recording.request.meeting_id,
            "roomName": recording.request.meeting_id,
            **_session_members(recording.session, recording.request.app_id),
        },
    }


def dyte(recording: Recording) -> dict[str, object]:
    """The predecessor's wording: other times, numbers for sizes, members missing on the way."""
    body: dict[str, object] = {
        "recordingId": recording.id,
        "id": recording.id,
        "status": recording.status,
        "startedTime": _dyte_time(recording.started_at),
        "stoppedTime": _dyte_time(recording.stopped_at),
        "organizationId": recording.request.app_id,
        "roomUUID": recording.session.id if recording.session else None,
    }
    meeting: dict[str, object] = {"id": recording.request.meeting_id, "status": "LIVE"}
    if recording.stop_reason:
        body["stopReason"] = (
            f"{{'reason':'{recording.stop_reason}','caller':{{'type':'INTERNAL'}}}}"
        )
    if recording.status != "UPLOADING":
        body["meetingId"] = recording.request.meeting_id
        body["outputFileName"] = recording.output_file_name
        meeting["sessionId"] = recording.session.id if recording.session else None
    if recording.status == "UPLOADED":
        body["fileSize"] = recording.file_size or 0
    return {"event": "recording.statusUpdate", "recording": body, "meeting": meeting}


def meeting(event: MeetingEvent, app_id: str) -> dict[str, object]:
    """Somebody came or went, a session began or ended."""
    payload: dict[str, object] = {
        "event": event.name,
        "meeting": {
            "id": event.meeting.id,
            "roomName": event.meeting.id,
            **_session_members(event.session, app_id),
        },
    }
    if event.presence is not None:
        person = event.presence.participant
        payload["participant"] = {
            "peerId": event.presence.peer_id,
            "userDisplayName": person.name,
            "customParticipantId": person.custom_participant_id,
            "joinedAt": iso(event.presence.joined_at),
            "leftAt": _iso(event.presence.left_at),
        }
    if event.reason is not None:
        payload["reason"] = event.reason
    return payload


def _session_members(session: Session | None, app_id: str) -> dict[str, object]:
    """What a notice says of the meeting; its status is LIVE even when it is over."""
    owner = {"id": app_id, "name": "Sandbox"}
    if session is None:
        return {"status": "LIVE", "organizedBy": owner}
    return {
        "sessionId": session.id,
        "title": session.title,
        "status": "LIVE",
        "createdAt": iso(session.started_at),
        "startedAt": iso(session.started_at),
        "endedAt": _iso(session.ended_at),
        "organizedBy": owner,
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


def _dyte_time(moment: float | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")
