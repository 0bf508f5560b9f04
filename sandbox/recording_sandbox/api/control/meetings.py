"""Controls meetings: create one, let people join and leave, end the session."""

from recording_sandbox.api import responses
from recording_sandbox.api.call import Reply
from recording_sandbox.api.control.call import ControlBody, ControlCall, ControlRoute
from recording_sandbox.api.validation import invalid, uuid
from recording_sandbox.model.behaviour import Seconds
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.errors import NotFound
from recording_sandbox.model.meetings import Meetings


class NewMeeting(ControlBody, frozen=True, kw_only=True):
    """POST /sandbox/meetings. `participants` is their number, or their custom ids.

    They join at once if it is `live`, or after `begins_in` seconds of sandbox time.
    """

    id: str | None = None
    title: str | None = None
    participants: int | tuple[str, ...] = 3
    live: bool = True
    begins_in: Seconds | None = None


class Attendee(ControlBody, frozen=True, kw_only=True):
    """The participant who joins or leaves: `user_id` or `peer_id`, or a new
    `custom_participant_id`. Who joins `mute` leaves no file."""

    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None
    name: str | None = None
    preset_name: str = "group_call_participant"
    mute: bool = False


class NewParticipant(ControlBody, frozen=True, kw_only=True):
    """A participant who may join from now on, and does not join yet."""

    custom_participant_id: str
    name: str | None = None


class SessionEnd(ControlBody, frozen=True, kw_only=True):
    """Why a session ends."""

    reason: str = "HOST_ENDED_MEETING"


class MeetingControl:
    """The paths below `/sandbox/meetings`. Each response describes the meeting afterwards."""

    def __init__(self, clock: Clock, meetings: Meetings) -> None:
        self._clock = clock
        self._meetings = meetings

    def routes(self) -> list[ControlRoute]:
        """Method, path and handler of each."""
        return [
            ("POST", "/meetings", self._create),
            ("GET", "/meetings/{meeting_id}", self._get),
            ("POST", "/meetings/{meeting_id}/participants", self._add),
            ("DELETE", "/meetings/{meeting_id}/participants/{user_id}", self._remove),
            ("POST", "/meetings/{meeting_id}/join", self._join),
            ("POST", "/meetings/{meeting_id}/leave", self._leave),
            ("POST", "/meetings/{meeting_id}/rejoin", self._rejoin),
            ("POST", "/meetings/{meeting_id}/end", self._end),
        ]

    def _create(self, call: ControlCall) -> Reply:
        body = call.decode(NewMeeting)
        meeting_id = uuid("id", body.id) if body.id else None
        meeting = self._meetings.create(
            meeting_id,
            title=body.title,
            participants=body.participants,
            live=body.live and body.begins_in is None,
        )
        if body.begins_in is not None:
            self._meetings.begin_later(meeting.id, body.begins_in)
        return self._describe(meeting.id, status=201)

    def _get(self, call: ControlCall) -> Reply:
        return self._describe(call.path["meeting_id"])

    def _add(self, call: ControlCall) -> Reply:
        person, meeting_id = call.decode(NewParticipant), call.path["meeting_id"]
        self._meetings.register(meeting_id, person.custom_participant_id, name=person.name)
        return self._describe(meeting_id, status=201)

    def _remove(self, call: ControlCall) -> Reply:
        meeting_id = call.path["meeting_id"]
        self._meetings.remove(meeting_id, call.path["user_id"])
        return self._describe(meeting_id)

    def _join(self, call: ControlCall) -> Reply:
        attendee, meeting_id = call.decode(Attendee), call.path["meeting_id"]
        user_id = attendee.user_id
        if user_id is None:
            custom_id = attendee.custom_participant_id or attendee.name or "guest"
            user_id = self._meetings.register(
                meeting_id, custom_id, name=attendee.name, preset_name=attendee.preset_name
            ).id
        self._meetings.join(meeting_id, user_id, mute=attendee.mute)
        return self._describe(meeting_id)

    def _leave(self, call: ControlCall) -> Reply:
        attendee, meeting_id = call.decode(Attendee), call.path["meeting_id"]
        self._meetings.leave(meeting_id, _required(attendee.peer_id or attendee.user_id))
        return self._describe(meeting_id)

    def _rejoin(self, call: ControlCall) -> Reply:
        attendee, meeting_id = call.decode(Attendee), call.path["meeting_id"]
        self._meetings.rejoin(meeting_id, _required(attendee.user_id))
        return self._describe(meeting_id)

    def _end(self, call: ControlCall) -> Reply:
        meeting_id = call.path["meeting_id"]
        self._meetings.end_session(meeting_id, reason=call.decode(SessionEnd).reason)
        return self._describe(meeting_id)

    def _describe(self, meeting_id: str, *, status: int = 200) -> Reply:
        meeting = self._meetings.find(meeting_id)
        if meeting is None:
            raise NotFound("meeting")
        now, session = self._clock.now(), meeting.session
        participants = [
            responses.participant(participant) for participant in meeting.participants.values()
        ]
        presences = [
            responses.presence(row, session, now=now, events=False)
            for row in (session.presences if session else [])
            if session
        ]
        data = {
            **responses.meeting(meeting),
            "participants": participants,
            "session": responses.session(session, now=now) if session else None,
            "presences": presences,
        }
        return Reply(data=data, status=status)


def _required(user_or_peer_id: str | None) -> str:
    if user_or_peer_id is None:
        raise invalid("user_id", "is required")
    return user_or_peer_id
