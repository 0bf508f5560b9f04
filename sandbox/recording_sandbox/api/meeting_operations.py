"""The operations on meetings: create one, and register its participants."""

from uuid import uuid4

from recording_sandbox.api import request_bodies as bodies
from recording_sandbox.api import responses, validation
from recording_sandbox.api.call import Call, Reply, page
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.meeting import Meeting, Participant
from recording_sandbox.model.meetings import Meetings


class MeetingOperations:
    """Handlers of the paths below `/meetings`, except for the active session."""

    def __init__(self, clock: Clock, behaviour: Behaviour, meetings: Meetings) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._meetings = meetings

    def create(self, call: Call) -> Reply:
        """POST /meetings: the new meeting is empty."""
        body = validation.decode(call.body, bodies.CreateMeeting)
        meeting = self._meetings.create(str(uuid4()), title=body.title)
        return Reply(data=responses.meeting(meeting), status=201)

    def get(self, call: Call) -> Reply:
        """GET /meetings/{meeting_id}."""
        return Reply(data=responses.meeting(self._meetings.get(_meeting_id(call))))

    def add_participant(self, call: Call) -> Reply:
        """POST /meetings/{meeting_id}/participants: allows to join, and does not join."""
        meeting_id = _meeting_id(call)
        body = validation.decode(call.body, bodies.AddParticipant)
        self._meetings.get(meeting_id)  # creates the meeting if it is unknown, unless strict
        participant = self._meetings.register(
            meeting_id, body.custom_participant_id, name=body.name, preset_name=body.preset_name
        )
        data = {**responses.participant(participant), "token": f"sandbox-{uuid4().hex}"}
        return Reply(data=data, status=201)

    def participants(self, call: Call) -> Reply:
        """GET /meetings/{meeting_id}/participants: the people who may join."""
        validation.only(call.query, ("page_no", "per_page"))
        people = self._listed(self._meetings.get(_meeting_id(call)))
        offset, length = page(call.query, self._behaviour)
        items = [responses.participant(person) for person in people[offset : offset + length]]
        return Reply(data=items, extra={"paging": responses.paging(len(people), offset, items)})

    def _listed(self, meeting: Meeting) -> list[Participant]:
        horizon = self._clock.now() - self._behaviour.participant_lag_seconds
        people = [
            participant
            for participant in meeting.participants.values()
            if participant.created_at <= horizon
        ]
        return people[::-1] if self._behaviour.newest_participants_first else people


def _meeting_id(call: Call) -> str:
    return validation.uuid("meeting_id", call.path["meeting_id"])
