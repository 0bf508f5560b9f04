"""The JSON objects of the API's responses: one function for each object of its schema."""

from collections.abc import Sequence
from uuid import UUID, uuid5

from recording_sandbox.model.clock import iso
from recording_sandbox.model.meeting import Meeting, Participant, Presence, Session

NAMESPACE = UUID("2ab9d5a4-6c1f-44e3-9d0f-0d6ce1f1b7aa")


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
    """The ActiveSession object, also of a session that has ended."""
    until = now if session.ended_at is None else session.ended_at
    body: dict[str, object] = {
        "id": session.id,
        "associated_id": session.meeting_id,
        "meeting_display_name": session.title,
        "type": "meeting",
        "status": "LIVE" if session.ended_at is None else "ENDED",
        "live_participants": len(session.present),
        "max_concurrent_participants": session.max_present,
        "minutes_consumed": minutes(session, until),
        "organization_id": str(uuid5(NAMESPACE, "organization")),
        "started_at": iso(session.started_at),
        "created_at": iso(session.started_at),
        "updated_at": iso(until),
    }
    if session.ended_at is not None:
        body["ended_at"] = iso(session.ended_at)
    return body


def minutes(session: Session, until: float) -> float:
    """The summed duration of all presences, in minutes."""
    durations = [_duration(presence, until) for presence in session.presences]
    return round(sum(durations) / 60, 3)


def presence(
    presence: Presence, session: Session, *, now: float, events: bool
) -> dict[str, object]:
    """One row of a session's participants: one stay of one person."""
    person = presence.participant
    body: dict[str, object] = {
        "id": presence.peer_id,
        "user_id": person.id,
        "custom_participant_id": person.custom_participant_id,
        "display_name": person.name,
        "preset_name": person.preset_name,
        "duration": round(_duration(presence, now) / 60, 3),
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
    """The Participant object: a person who may join a meeting."""
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
    """The paging object. Offsets count from 1 and are inclusive; an empty page starts at 0."""
    return {
        "total_count": total,
        "start_offset": offset + 1 if items else 0,
        "end_offset": offset + len(items) if items else total,
    }


def _duration(presence: Presence, now: float) -> float:
    return (presence.left_at or now) - presence.joined_at


def _peer_events(presence: Presence, session: Session) -> list[dict[str, object]]:
    moments: list[tuple[str, float | None]] = [
        ("PEER_CREATED", presence.joined_at),
        ("PEER_JOINING", presence.joined_at),
        ("PEER_LEAVING", presence.left_at),
    ]
    return [
        {
            "id": str(uuid5(NAMESPACE, f"{presence.peer_id}/{name}")),
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
