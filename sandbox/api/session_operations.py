"""What each operation on sessions, their participants and meetings does with a request."""

from collections.abc import Callable
from uuid import uuid4

from sandbox.api import responses, validation
from sandbox.api.call import Call, Reply, page
from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock
from sandbox.model.errors import NotFound
from sandbox.model.meeting import Presence, Session
from sandbox.model.meetings import Meetings


class SessionOperations:
    """Who was in which meeting, and enough of meetings to make one."""

    def __init__(self, clock: Clock, behaviour: Behaviour, meetings: Meetings) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._meetings = meetings

    def active(self, call: Call) -> Reply:
        """GET /meetings/{meeting_id}/active-session."""
        meeting = self._meetings.get(validation.uuid("meeting_id", call.path["meeting_id"]))
        if meeting.session is None:
            raise NotFound("active session")
        return Reply(data=self._worded(meeting.session))

    def listing(self, call: Call) -> Reply:
        """GET /sessions."""
        query = call.query
        validation.only(query, _LIST_PARAMETERS)
        sessions = self._candidates(query.get("associated_id"))
        if status := query.get("status"):
            live = validation.one_of("status", status, ("LIVE", "ENDED")) == "LIVE"
            sessions = [session for session in sessions if (session.ended_at is None) == live]
        if start := query.get("start_time"):
            first = validation.moment("start_time", start)
            sessions = [session for session in sessions if session.started_at >= first]
        if end := query.get("end_time"):
            last = validation.moment("end_time", end)
            sessions = [session for session in sessions if session.started_at <= last]
        if text := query.get("search"):
            sessions = [session for session in sessions if _found(session, text)]
        sessions.sort(key=self._key(query.get("sort_by", "createdAt")))
        if _descending(query.get("sort_order", "DESC")):
            sessions.reverse()
        offset, length = page(query, self._behaviour)
        items = [self._worded(session) for session in sessions[offset : offset + length]]
        paging = responses.paging(len(sessions), offset, items)
        return Reply(data={"sessions": items}, extra={"paging": paging})

    def get(self, call: Call) -> Reply:
        """GET /sessions/{session_id}."""
        return Reply(data=self._worded(self._session(call)))

    def participants(self, call: Call) -> Reply:
        """GET /sessions/{session_id}/participants: a row for each stay, or for each person."""
        query = call.query
        session = self._session(call)
        rows = list(session.presences)
        view = validation.one_of("view", query.get("view", "raw"), ("raw", "consolidated"))
        if view == "consolidated":
            rows = list({row.participant.id: row for row in reversed(rows)}.values())
        if text := query.get("search"):
            rows = [row for row in rows if text.lower() in _searchable(row)]
        key = validation.one_of("sort_by", query.get("sort_by", "joinedAt"), _ROW_KEYS)
        rows.sort(key=lambda row: row.joined_at if key == "joinedAt" else self._stay(row))
        if _descending(query.get("sort_order", "ASC")):
            rows.reverse()
        offset, length = page(query, self._behaviour, most=200)
        shown = rows[offset : offset + length]
        items = [self._row(call, row, session) for row in shown]
        paging = responses.paging(len(rows), offset, items)
        return Reply(data={"participants": items, "paging": paging})

    def participant(self, call: Call) -> Reply:
        """GET /sessions/{session_id}/participants/{participant_id}, by peer or by user id."""
        session, wanted = self._session(call), call.path["participant_id"]
        for row in reversed(session.presences):
            if wanted in (row.peer_id, row.participant.id):
                return Reply(data={"participant": self._row(call, row, session)})
        raise NotFound("participant")

    def create_meeting(self, call: Call) -> Reply:
        """POST /meetings: nobody is in it yet."""
        body = validation.decode(call.body, validation.NewMeeting)
        meeting = self._meetings.create(str(uuid4()), title=body.title)
        return Reply(data=responses.meeting(meeting), status=201)

    def get_meeting(self, call: Call) -> Reply:
        """GET /meetings/{meeting_id}."""
        meeting_id = validation.uuid("meeting_id", call.path["meeting_id"])
        return Reply(data=responses.meeting(self._meetings.get(meeting_id)))

    def add_participant(self, call: Call) -> Reply:
        """POST /meetings/{meeting_id}/participants: may join from now on, but has not."""
        meeting_id = validation.uuid("meeting_id", call.path["meeting_id"])
        body = validation.decode(call.body, validation.NewParticipant)
        self._meetings.get(meeting_id)
        person = self._meetings.register(
            meeting_id, body.custom_participant_id, name=body.name, preset_name=body.preset_name
        )
        worded = {**responses.participant(person), "token": f"sandbox-{uuid4().hex}"}
        return Reply(data=worded, status=201)

    def meeting_participants(self, call: Call) -> Reply:
        """GET /meetings/{meeting_id}/participants: who may join."""
        meeting_id = validation.uuid("meeting_id", call.path["meeting_id"])
        people = list(self._meetings.get(meeting_id).participants.values())
        offset, length = page(call.query, self._behaviour)
        items = [responses.participant(person) for person in people[offset : offset + length]]
        return Reply(data=items, extra={"paging": responses.paging(len(people), offset, items)})

    def _candidates(self, meeting_id: str | None) -> list[Session]:
        if meeting_id is None:
            return self._meetings.sessions()
        meeting = self._meetings.find(validation.uuid("associated_id", meeting_id))
        return list(meeting.sessions) if meeting else []

    def _session(self, call: Call) -> Session:
        session = self._meetings.session(validation.uuid("session_id", call.path["session_id"]))
        call.meeting_id = session.meeting_id
        return session

    def _worded(self, session: Session) -> dict[str, object]:
        return responses.session(session, now=self._clock.now())

    def _row(self, call: Call, row: Presence, session: Session) -> dict[str, object]:
        events = validation.flag(
            "include_peer_events", call.query.get("include_peer_events", "false")
        )
        return responses.presence(row, session, now=self._clock.now(), events=events)

    def _stay(self, row: Presence) -> float:
        return (row.left_at or self._clock.now()) - row.joined_at

    def _key(self, name: str) -> Callable[[Session], float]:
        validation.one_of("sort_by", name, ("minutesConsumed", "createdAt"))
        if name == "createdAt":
            return lambda session: session.started_at
        return lambda session: responses.minutes(session, session.ended_at or self._clock.now())


_ROW_KEYS = ("joinedAt", "duration")
_LIST_PARAMETERS = (
    "associated_id",
    "page_no",
    "per_page",
    "sort_by",
    "sort_order",
    "start_time",
    "end_time",
    "participants",
    "status",
    "search",
)


def _found(session: Session, text: str) -> bool:
    return text in (session.id, session.meeting_id) or text.lower() in session.title.lower()


def _searchable(row: Presence) -> str:
    person = row.participant
    return f"{person.id} {person.custom_participant_id} {person.name} {row.peer_id}".lower()


def _descending(order: str) -> bool:
    return validation.one_of("sort_order", order, ("ASC", "DESC")) == "DESC"
