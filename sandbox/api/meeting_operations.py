"""The operations on meetings: create one, and register its participants."""

from uuid import uuid4

from sandbox.api import request_bodies as bodies
from sandbox.api import responses, validation
from sandbox.api.call import Call, Reply, page
from sandbox.model.behaviour import Behaviour
from sandbox.model.meetings import Meetings


class MeetingOperations:
    """Handlers of the paths below `/meetings`, except for the active session."""

    def __init__(self, behaviour: Behaviour, meetings: Meetings) -> None:
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
        people = list(self._meetings.get(_meeting_id(call)).participants.values())
        offset, length = page(call.query, self._behaviour)
        items = [responses.participant(person) for person in people[offset : offset + length]]
        return Reply(data=items, extra={"paging": responses.paging(len(people), offset, items)})


def _meeting_id(call: Call) -> str:
    return validation.uuid("meeting_id", call.path["meeting_id"])
