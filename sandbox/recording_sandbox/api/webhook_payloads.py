"""The bodies of webhooks, in today's format and in that of the predecessor (Dyte)."""

from datetime import UTC, datetime

from recording_sandbox.model.clock import iso
from recording_sandbox.model.meeting import MeetingEvent, Session
from recording_sandbox.model.recording import Recording


def cloudflare(
    recording: Recording, response: dict[str, object], *, with_urls: bool
) -> dict[str, object]:
    """The documented format. `response` is the Recording object of the API."""
    body: dict[str, object] = {
        "id": recording.id,
        "recordingId": recording.id,
        "status": response["status"],
        "downloadUrl": response["download_url"] if with_urls else None,
        "audioDownloadUrl": response["audio_download_url"] if with_urls else None,
        "downloadUrlExpiry": response["download_url_expiry"],
        "startedTime": response["started_time"],
        "stoppedTime": response["stopped_time"],
        "outputFileName": recording.output_file_name,
        "meetingId": recording.request.meeting_id,
        "organizationId": recording.request.app_id,
        "roomUUID": response["session_id"],
    }
    if response["file_size"] is not None:
        body["fileSize"] = str(response["file_size"])
    if recording.stopped_at is not None:
        body["recordingDuration"] = response["recording_duration"]
    if recording.error:
        body["errMessage"] = recording.error
    return {
        "event": "recording.statusUpdate",
        "recording": body,
        "meeting": {
            "id": recording.request.meeting_id,
            "roomName": recording.request.meeting_id,
            **_session_fields(recording.session, recording.request.app_id),
        },
    }


def dyte(recording: Recording, response: dict[str, object]) -> dict[str, object]:
    """The predecessor's format: other times, sizes as numbers, fields missing in some statuses."""
    body: dict[str, object] = {
        "recordingId": recording.id,
        "id": recording.id,
        "status": response["status"],
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
    """A participant joined or left, or a session started or ended."""
    payload: dict[str, object] = {
        "event": event.name,
        "meeting": {
            "id": event.meeting.id,
            "roomName": event.meeting.id,
            **_session_fields(event.session, app_id),
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


def _session_fields(session: Session | None, app_id: str) -> dict[str, object]:
    """The fields about the meeting. Its status is LIVE even after its end."""
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
